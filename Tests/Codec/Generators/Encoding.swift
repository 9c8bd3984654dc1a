import Codec
import Domain

/// One of every case of both logs, as bytes.
func everyEncodedEvent(seed: UInt64) throws -> [EncodedEvent] {
    var events = ArbitraryEvents(seed: seed)
    return try events.everyGlobalEvent().map { try GlobalCodec().encode($0) }
        + events.everyRegionEvent().map { try RegionalCodec().encode($0) }
}

/// What either log's codec makes of some bytes, encoded again; nil when both refuse them.
func reencoded(_ event: EncodedEvent) throws -> EncodedEvent? {
    let (type, revision, payload) = (event.type, event.schemaRevision, event.payload)
    if let global = try? GlobalCodec().decode(type: type, schemaRevision: revision, payload: payload) {
        return try GlobalCodec().encode(global)
    }
    if let regional = try? RegionalCodec().decode(type: type, schemaRevision: revision, payload: payload) {
        return try RegionalCodec().encode(regional)
    }
    return nil
}

/// A few bytes changed, dropped or put in.
func mutated(_ payload: [UInt8], _ numbers: inout SeededNumbers) -> [UInt8] {
    var bytes = payload
    for _ in 0..<Int.random(in: 1...3, using: &numbers) {
        let place = Int.random(in: 0...bytes.count, using: &numbers)
        switch Int.random(in: 0..<3, using: &numbers) {
        case 0: bytes.insert(UInt8.random(in: 0...255, using: &numbers), at: place)
        case 1 where place < bytes.count: bytes.remove(at: place)
        default: if place < bytes.count { bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &numbers) }
        }
    }
    return bytes
}
