import Domain

extension Drover_V1_GlobalFact {
    init(_ value: GlobalFact) {
        switch value {
        case .packUploaded(let build, let app, let attempt, let pack):
            packUploaded = Uploaded(build, app, attempt, pack)
        case .packStored(let build, let app, let attempt, let pack, let region):
            packStored = Stored(build, app, attempt, pack, region)
        case .packLost(let build, let region):
            var message = Lost()
            (message.build, message.region) = (build.rawValue, region.rawValue)
            packLost = message
        case .buildRetired(let build, let end):
            var message = Retired()
            (message.build, message.removeAfter) = (build.rawValue, end.milliseconds)
            buildRetired = message
        case .jobFailed(let job):
            var message = Failed()
            message.job = job.rawValue
            jobFailed = message
        case .target(let value): target = Drover_V1_Target(value)
        case .region(let name, let endpoint, let status):
            var message = Region()
            (message.region, message.endpoint) = (name.rawValue, endpoint)
            message.status = Drover_V1_RegionStatus(status)
            region = message
        case .settings(let value): settings = Drover_V1_Settings(value)
        }
    }

    func value() throws(CodecFailure) -> GlobalFact {
        switch fact {
        case .packUploaded(let message): return try message.value()
        case .packStored(let message): return try message.value()
        case .packLost(let message):
            try message.checkFields("pack_lost")
            return .packLost(BuildID(rawValue: message.build), region: try name(message.region, "region"))
        case .buildRetired(let message):
            try message.checkFields("build_retired")
            return .buildRetired(
                BuildID(rawValue: message.build), removeAfter: Timestamp(milliseconds: message.removeAfter))
        case .jobFailed(let message):
            try message.checkFields("job_failed")
            return .jobFailed(JobID(rawValue: message.job))
        case .target(let message): return .target(try required(true, message, "target").value())
        case .region(let message):
            try message.checkFields("region")
            return .region(
                try name(message.region, "region"), endpoint: message.endpoint, try message.status.value("status"))
        case .settings(let message): return .settings(try required(true, message, "settings").value)
        case nil: throw .malformed("fact", "is missing")
        }
    }
}

extension Drover_V1_GlobalFact.Uploaded {
    init(_ build: BuildID, _ app: AppName, _ attempt: AttemptNumber, _ pack: UploadedPack) {
        (self.build, self.app, self.attempt) = (build.rawValue, app.rawValue, attempt.rawValue)
        self.pack = Drover_V1_UploadedPack(pack)
    }

    func value() throws(CodecFailure) -> GlobalFact {
        try checkFields("pack_uploaded")
        return .packUploaded(
            BuildID(rawValue: build), try name(app, "app"), AttemptNumber(rawValue: attempt),
            try required(hasPack, pack, "pack").value())
    }
}

extension Drover_V1_GlobalFact.Stored {
    init(_ build: BuildID, _ app: AppName, _ attempt: AttemptNumber, _ pack: UploadedPack, _ region: RegionName) {
        (self.build, self.app, self.attempt) = (build.rawValue, app.rawValue, attempt.rawValue)
        self.pack = Drover_V1_UploadedPack(pack)
        self.region = region.rawValue
    }

    func value() throws(CodecFailure) -> GlobalFact {
        try checkFields("pack_stored")
        return .packStored(
            BuildID(rawValue: build), try name(app, "app"), AttemptNumber(rawValue: attempt),
            try required(hasPack, pack, "pack").value(), region: try name(region, "region"))
    }
}
