package import Engine
package import Serving

/// The limits of the API, each with its unit.
package struct APISettings: Sendable {
    /// What `/v1/status` says.
    package var version: String
    /// Hosts, bodies, waits, pages: as for every HTTP face.
    package var serving: ServingSettings
    /// How long a read waits for the views before it says `views-behind`.
    package var viewsBehindSeconds: Int64 = 5
    /// Job ids that one page of builds looks at: an app with few builds needs several pages.
    package var maximumScannedBuilds: UInt64 = 50_000
    /// Frames of the log read at once for the feed and the event stream.
    package var logFramesAtOnce = 2000
    /// Where a feed's answer ends with what it has.
    package var feed = FeedLimits()
    /// An idle event stream says at least this often that it lives.
    package var streamKeepAliveSeconds: Int64 = 15
    /// Rows of one query's answer.
    package var maximumQueryRows = 10_000
    /// One manifest's bytes.
    package var maximumManifestBytes = 64 << 20
    /// The body of a worker's report with its manifest: one of 4 MiB, each byte escaped.
    package var maximumUploadedBodyBytes = 9 << 20

    package init(version: String, serving: ServingSettings = ServingSettings()) {
        self.version = version
        self.serving = serving
    }
}
