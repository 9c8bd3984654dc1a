package import Domain

/// A build that a person wants kept.
package struct PinBody: Hashable, Sendable, Codable {
    package var actor: String
    package var reason: String
    package var at: WireTime

    package init(actor: String, reason: String, at: WireTime) {
        (self.actor, self.reason, self.at) = (actor, reason, at)
    }

    package init(_ pin: Pin) {
        (actor, reason, at) = (pin.actor.description, pin.reason, WireTime(pin.at))
    }
}

/// A build that can be no target any more.
package struct RetirementBody: Hashable, Sendable, Codable {
    package var at: WireTime
    package var cause: RetirementCause
    /// When regions may remove their packs.
    package var removeAfter: WireTime

    package enum CodingKeys: String, CodingKey {
        case at, cause
        case removeAfter = "remove_after"
    }

    package init(at: WireTime, cause: RetirementCause, removeAfter: WireTime) {
        (self.at, self.cause, self.removeAfter) = (at, cause, removeAfter)
    }

    package init(_ retirement: Retirement) {
        (at, cause) = (WireTime(retirement.at), retirement.cause)
        removeAfter = WireTime(retirement.removeAfter)
    }
}

/// What keeps a build now.
package struct KeptBody: Hashable, Sendable, Codable {
    package var reason: KeptReason
    /// When its age keeps it no longer; nil where something else does.
    package var until: WireTime?

    package init(reason: KeptReason, until: WireTime?) { (self.reason, self.until) = (reason, until) }
}

/// No job is given to a worker, for a region's store is full.
package struct ClaimsStoppedBody: Hashable, Sendable, Codable {
    package var region: RegionName
    /// Why, and what to do.
    package var detail: String

    package init(region: RegionName, detail: String) { (self.region, self.detail) = (region, detail) }
}
