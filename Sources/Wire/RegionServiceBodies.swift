package import Domain

/// `POST /v1/peers/{name}/enrol`, to a region.
package struct EnrolBody: WireRequest, Hashable {
    package var labels: [String: String]
    /// Where other peers fetch from it.
    package var endpoint: String

    package enum CodingKeys: String, CodingKey, CaseIterable { case labels, endpoint }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(labels: [String: String], endpoint: String) { (self.labels, self.endpoint) = (labels, endpoint) }
}

/// `POST /v1/peers/{name}/report`, to a region: what a peer says of its apps, one entry an app.
package struct PeerReportBody: WireRequest, Hashable {
    package struct App: Hashable, Sendable, Codable {
        package var app: AppName
        package var report: PeerApp

        package init(app: AppName, report: PeerApp) { (self.app, self.report) = (app, report) }
    }

    package var apps: [App]

    package enum CodingKeys: String, CodingKey, CaseIterable { case apps }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(apps: [App]) { self.apps = apps }
}
