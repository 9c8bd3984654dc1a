import Crypto
package import Domain
import Foundation

/// An aggregate's state as canonical bytes: JSON with sorted keys and nothing between its tokens, so that the same
/// state has the same bytes, and the same hash, in every process.
package enum StateCodec {
    package static func encode(_ state: some Encodable) throws(CodecFailure) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(state))
        } catch {
            throw .malformed("state", "cannot be encoded (\(error))")
        }
    }

    package static func decode<State: Decodable>(_ type: State.Type, _ bytes: [UInt8]) throws(CodecFailure) -> State {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw .malformed("state", "cannot be decoded (\(error))")
        }
    }

    /// The SHA-256 of the state's canonical bytes.
    package static func stateHash(_ state: some Encodable) throws(CodecFailure) -> Domain.Digest {
        hash(try encode(state))
    }

    /// The SHA-256 of a state's bytes that are at hand already.
    package static func hash(_ bytes: [UInt8]) -> Domain.Digest {
        guard let digest = Domain.Digest(bytes: Array(SHA256.hash(data: bytes))) else {
            preconditionFailure("SHA-256 has 32 bytes")
        }
        return digest
    }
}
