import Domain

extension Drover_V1_Target {
    init(_ value: Target) {
        app = value.app.rawValue
        scope = value.scope.description
        revision = Drover_V1_Revision(value.revision)
        deployment = Drover_V1_Revision(value.deployment)
        current = Drover_V1_ProvedBuild(value.current)
        if let build = value.base { base = Drover_V1_ProvedBuild(build) }
        if let build = value.previous { previous = Drover_V1_ProvedBuild(build) }
        selector = pairs(value.selector.labels)
        admittedShare = value.admittedShare
        actor = Drover_V1_Actor(value.actor)
        reason = value.reason
        issued = value.issued.milliseconds
        expires = value.expires.milliseconds
    }

    func value() throws(CodecFailure) -> Target {
        Target(
            app: try name(app, "app"), scope: try Codec.scope(scope, "scope"),
            revision: try required(hasRevision, revision, "revision").value,
            deployment: try required(hasDeployment, deployment, "deployment").value,
            current: try required(hasCurrent, current, "current").value(),
            base: hasBase ? try required(true, base, "base").value() : nil,
            previous: hasPrevious ? try required(true, previous, "previous").value() : nil,
            selector: PeerSelector(labels: try labels(selector, "selector")), admittedShare: admittedShare,
            actor: try required(hasActor, actor, "actor").value(), reason: reason,
            issued: Timestamp(milliseconds: issued), expires: Timestamp(milliseconds: expires))
    }
}

extension Drover_V1_DeployRequest {
    init(_ value: DeployRequest) {
        app = value.app.rawValue
        if let wanted = value.build { build = wanted.rawValue }
        scope = value.scope.description
        selector = pairs(value.selector.labels)
        reason = value.reason
        whenReplicated = value.whenReplicated
        allowEmpty = value.allowEmpty
        if let revision = value.expected { expected = Drover_V1_Revision(revision) }
    }

    func value() throws(CodecFailure) -> DeployRequest {
        DeployRequest(
            app: try name(app, "app"), build: hasBuild ? BuildID(rawValue: build) : nil,
            scope: try Codec.scope(scope, "scope"), selector: PeerSelector(labels: try labels(selector, "selector")),
            reason: reason, whenReplicated: whenReplicated, allowEmpty: allowEmpty,
            expected: hasExpected ? try required(true, expected, "expected").value : nil)
    }
}

extension Drover_V1_DeploymentOpening {
    init(_ value: DeploymentOpening) {
        id = Drover_V1_Revision(value.id)
        request = Drover_V1_DeployRequest(value.request)
        build = Drover_V1_ProvedBuild(value.build)
        deadline = value.deadline.milliseconds
    }

    func value() throws(CodecFailure) -> DeploymentOpening {
        DeploymentOpening(
            id: try required(hasID, id, "id").value, request: try required(hasRequest, request, "request").value(),
            build: try required(hasBuild, build, "build").value(), deadline: Timestamp(milliseconds: deadline))
    }
}
