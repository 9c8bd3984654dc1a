/// The limits of every HTTP face, each with its unit.
package struct ServingSettings: Sendable {
    /// Host names and addresses, without port, under which this server may be called. `localhost`, `127.0.0.1` and
    /// `[::1]` always may.
    package var allowedHosts: Set<String>
    package var maximumBodyBytes = 1 << 20
    /// A longer `wait` counts as this.
    package var maximumWaitSeconds: Int64 = 30
    package var defaultListRows = 100
    package var maximumListRows = 1000

    package init(allowedHosts: Set<String> = []) {
        self.allowedHosts = Set(allowedHosts.map { $0.lowercased() })
    }

    /// Whether requests may name this host (without port, in lowercase).
    package func allows(host: String) -> Bool {
        host == "127.0.0.1" || host == "localhost" || host == "[::1]" || allowedHosts.contains(host)
    }
}
