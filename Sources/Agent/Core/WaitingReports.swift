package import Domain

/// What a peer has to say to its region: the latest word of each app, until it was taken.
package struct WaitingReports: Sendable {
    package typealias Word = (app: AppName, report: PeerApp)

    private var waiting: [AppName: PeerApp] = [:]

    package init() {}

    package mutating func report(_ app: AppName, _ report: PeerApp) { waiting[app] = report }

    /// What one call says, by app.
    package var next: [Word] {
        waiting.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The region took these. A later word about the same app still waits.
    package mutating func taken(_ sent: [Word]) {
        for (app, report) in sent where waiting[app] == report { waiting[app] = nil }
    }
}
