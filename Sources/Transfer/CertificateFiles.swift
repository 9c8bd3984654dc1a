package import NIOSSL

/// The PEM files of one process in mutual TLS 1.3: its certificate (with any intermediates), its key, and the authority
/// that signed everybody's. Names in certificates are not compared: machines have none that last, the authority decides.
package struct CertificateFiles: Hashable, Sendable {
    package var certificate: String
    package var key: String
    package var authority: String

    package init(certificate: String, key: String, authority: String) {
        (self.certificate, self.key, self.authority) = (certificate, key, authority)
    }

    package func serverConfiguration() throws(TransferFailure) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try chain(), privateKey: try privateKey())
        try demand(&configuration)
        return configuration
    }

    package func clientConfiguration() throws(TransferFailure) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        (configuration.certificateChain, configuration.privateKey) = (try chain(), try privateKey())
        try demand(&configuration)
        return configuration
    }

    /// Both ends must show a certificate of the authority.
    private func demand(_ configuration: inout TLSConfiguration) throws(TransferFailure) {
        configuration.trustRoots = .certificates(try certificates(authority))
        configuration.certificateVerification = .noHostnameVerification
        configuration.minimumTLSVersion = .tlsv13
    }

    private func chain() throws(TransferFailure) -> [NIOSSLCertificateSource] {
        try certificates(certificate).map { .certificate($0) }
    }

    private func certificates(_ path: String) throws(TransferFailure) -> [NIOSSLCertificate] {
        let certificates = (try? NIOSSLCertificate.fromPEMFile(path)) ?? []
        guard !certificates.isEmpty else {
            throw TransferFailure(.badCertificate, "\(path) holds no certificate: name a PEM file that can be read")
        }
        return certificates
    }

    private func privateKey() throws(TransferFailure) -> NIOSSLPrivateKeySource {
        do { return .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)) } catch {
            throw TransferFailure(
                .badCertificate, "\(key) holds no private key: name a PEM file without a passphrase that can be read")
        }
    }
}
