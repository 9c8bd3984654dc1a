import Swarm
import Testing

@testable import Transfer

@Suite struct HaveStreamTests {
    /// However the bytes are cut, the last that is told is all that was sent.
    @Test(arguments: 0..<200)
    func cutAnyhowItTellsTheSame(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let count = 1 + generator.below(3000)
        var have = PieceSet(pieceCount: count, pieces: (0..<count).filter { _ in generator.below(3) == 0 })
        var bytes = have.bytes
        for _ in 0..<generator.below(20) {
            let news = PieceSet(pieceCount: count, pieces: (0..<generator.below(4)).map { _ in generator.below(count) })
                .subtracting(have)
            bytes += HaveStream.bytes(of: news)
            for piece in news.pieces { have.insert(piece) }
        }
        var (stream, told) = (HaveStream(pieceCount: count), PieceSet?.none)
        while !bytes.isEmpty {
            let part = bytes.prefix(1 + generator.below(bytes.count))
            bytes.removeFirst(part.count)
            if let next = try stream.take(part) { told = next }
        }
        #expect(told == have)
    }

    @Test func whatIsNoStreamIsRefused() throws {
        var stream = HaveStream(pieceCount: 9)
        #expect(throws: SourceFailure.self) { _ = try stream.take([0, 0x7f]) }
        stream = HaveStream(pieceCount: 9)
        #expect(try stream.take([0, 0])?.isEmpty == true)
        #expect(try stream.take([255, 255, 255, 255]) == nil)
        #expect(throws: SourceFailure.self) { _ = try stream.take([0, 0, 0, 9]) }
    }
}
