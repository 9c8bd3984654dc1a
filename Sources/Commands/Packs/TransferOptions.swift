import ArgumentParser
import Domain
import Foundation
import Transfer

/// How pieces travel: in the clear, or between certificates of one authority.
struct TransferOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Where to give pieces; port 0 is any free one.", valueName: "host:port"))
    var listen = "0.0.0.0:0"
    @Flag(help: "Speak plain HTTP: what is not secret, or a network that is.") var insecure = false
    @Option(help: ArgumentHelp("This process's certificate, PEM.", valueName: "file")) var tlsCertificate: String?
    @Option(help: ArgumentHelp("Its key, PEM.", valueName: "file")) var tlsKey: String?
    @Option(help: ArgumentHelp("The authority that signed everybody's certificate, PEM.", valueName: "file"))
    var tlsCA: String?
    @Option(help: ArgumentHelp("The most to upload: bytes a second, as in 500k, 20M, 1.5G.", valueName: "rate"))
    var limitUp: ByteRate?

    func validate() throws {
        let files = [tlsCertificate, tlsKey, tlsCA].compactMap { $0 }
        guard files.isEmpty || files.count == 3 else {
            throw ValidationError("--tls-certificate, --tls-key and --tls-ca go together")
        }
        guard files.isEmpty || !insecure else {
            throw ValidationError("--insecure and certificates exclude each other")
        }
        guard address != nil else { throw ValidationError("--listen is HOST:PORT, as in 0.0.0.0:9000 or [::]:9000") }
        guard insecure || !files.isEmpty || isLoopback else {
            throw ValidationError(
                "\(listen) is reached by others: give --tls-certificate, --tls-key and --tls-ca, or --insecure, "
                    + "or --listen on loopback")
        }
    }

    /// Nil when plain.
    var certificates: CertificateFiles? {
        guard let tlsCertificate, let tlsKey, let tlsCA else { return nil }
        return CertificateFiles(certificate: tlsCertificate, key: tlsKey, authority: tlsCA)
    }

    var scheme: String { certificates == nil ? "http" : "https" }

    func serverSettings(uploadSlots: Int) throws -> PieceServerSettings {
        var settings = PieceServerSettings(
            host: address?.host ?? "", port: address?.port ?? 0, uploadSlots: uploadSlots)
        settings.uploadBytesPerSecond = limitUp?.bytesPerSecond
        settings.tls = try certificates?.serverConfiguration()
        return settings
    }

    func clientSettings() throws -> PieceClientSettings {
        var settings = PieceClientSettings()
        settings.tls = try certificates?.clientConfiguration()
        return settings
    }

    private var isLoopback: Bool {
        guard let host = address?.host else { return false }
        return host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }

    private var address: (host: String, port: Int)? {
        guard let colon = listen.lastIndex(of: ":"), let port = UInt16(listen[listen.index(after: colon)...]) else {
            return nil
        }
        var host = String(listen[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return host.isEmpty ? nil : (host, Int(port))
    }
}

/// Bytes a second: a number, and k, M or G for thousands of them.
struct ByteRate: ExpressibleByArgument, Hashable {
    var bytesPerSecond: UInt64

    init?(argument: String) {
        let units: [Character: Double] = ["k": 1e3, "M": 1e6, "G": 1e9]
        let unit = argument.last.flatMap { units[$0] }
        guard let number = Double(unit == nil ? argument : String(argument.dropLast())), number > 0,
            number * (unit ?? 1) < 1e12, number * (unit ?? 1) >= 1
        else { return nil }
        bytesPerSecond = UInt64(number * (unit ?? 1))
    }
}
