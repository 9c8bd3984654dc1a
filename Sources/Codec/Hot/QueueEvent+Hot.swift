import Domain

/// The queue's events from their messages' fields; the caller looks whether anything is left.
extension QueueEvent {
    static func enqueued(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        let job = JobID(rawValue: try fields.number(1, bytes))
        var inner = try fields.message(2, bytes)
        let app: AppName = try inner.name(1, bytes)
        let repository = try inner.text(2, bytes)
        let commit = try inner.commit(3, bytes)
        let request = JobRequest(
            app: app, repository: repository, commit: commit, recipePath: try inner.text(4, bytes),
            priority: try inner.signedNumber(5, bytes), isForced: try inner.flag(6, bytes))
        try inner.finish()
        return .enqueued(job, request)
    }

    static func claimed(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        let (job, attempt) = try jobAndAttempt(from: &fields, bytes)
        return .claimed(
            job, attempt, worker: try fields.name(3, bytes), leaseSeconds: try fields.smallNumber(4, bytes))
    }

    static func heartbeat(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        let (job, attempt) = try jobAndAttempt(from: &fields, bytes)
        return .heartbeat(
            job, attempt, counter: try fields.number(3, bytes),
            stage: try fields.value(4, bytes, of: Drover_V1_AttemptStage.self))
    }

    static func uploaded(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        let (job, attempt) = try jobAndAttempt(from: &fields, bytes)
        return .uploaded(job, attempt, try fields.pack(3, bytes))
    }

    static func succeeded(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        let (job, attempt) = try jobAndAttempt(from: &fields, bytes)
        return .succeeded(job, attempt)
    }

    static func attemptFailed(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        let (job, attempt) = try jobAndAttempt(from: &fields, bytes)
        return .attemptFailed(
            job, attempt, try fields.value(3, bytes, of: Drover_V1_FailureReason.self),
            detail: try fields.text(4, bytes))
    }

    static func attemptReleased(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        let (job, attempt) = try jobAndAttempt(from: &fields, bytes)
        return .attemptReleased(job, attempt, detail: try fields.text(3, bytes))
    }

    static func leaseExpired(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        let (job, attempt) = try jobAndAttempt(from: &fields, bytes)
        return .leaseExpired(job, attempt)
    }

    static func requeued(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        .requeued(JobID(rawValue: try fields.number(1, bytes)))
    }

    static func failed(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> QueueEvent {
        .failed(
            JobID(rawValue: try fields.number(1, bytes)),
            try fields.value(2, bytes, of: Drover_V1_FailureReason.self), detail: try fields.text(3, bytes))
    }

    private static func jobAndAttempt(
        from fields: inout WireFields, _ bytes: borrowing Span<UInt8>
    ) throws(Unusual) -> (JobID, AttemptNumber) {
        (JobID(rawValue: try fields.number(1, bytes)), AttemptNumber(rawValue: try fields.number(2, bytes)))
    }
}
