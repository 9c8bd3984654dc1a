import Testing

@testable import Swarm

struct PieceSetTests {
    @Test(arguments: [0, 1, 7, 8, 63, 64, 65, 1000])
    func wireFormReturns(pieceCount: Int) {
        var generator = SeededGenerator(seed: UInt64(pieceCount))
        let set = PieceSet(
            pieceCount: pieceCount, pieces: (0..<pieceCount).filter { _ in generator.below(3) == 0 })
        #expect(set.bytes.count == (pieceCount + 7) / 8)
        #expect(PieceSet(bytes: set.bytes, pieceCount: pieceCount) == set)
    }

    @Test func wireFormIsBitTorrents() {
        #expect(PieceSet(pieceCount: 10, pieces: [0, 7, 9]).bytes == [0b1000_0001, 0b0100_0000])
    }

    @Test(
        arguments: [
            ([0xff, 0xc0, 0x00], 10), ([0xff], 10), ([0xff, 0xe0], 10), ([], 1), ([0x00], 0), ([0x40], 1),
        ] as [([UInt8], Int)])
    func wrongWireFormsAreRefused(bytes: [UInt8], pieceCount: Int) {
        #expect(PieceSet(bytes: bytes, pieceCount: pieceCount) == nil)
    }

    @Test(arguments: 0..<50)
    func agreesWithASetOfNumbers(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let pieceCount = 1 + generator.below(200)
        var (set, model) = (PieceSet(pieceCount: pieceCount), Set<Int>())
        for _ in 0..<300 {
            let piece = generator.below(pieceCount + 10) - 5
            let isPiece = (0..<pieceCount).contains(piece)
            if generator.below(2) == 0 {
                #expect(set.insert(piece) == (isPiece && model.insert(piece).inserted))
            } else {
                #expect(set.remove(piece) == (model.remove(piece) != nil))
            }
        }
        #expect(set.count == model.count)
        #expect(set.pieces == model.sorted())
        #expect((0..<model.count + 2).map { set.piece(at: $0) } == model.sorted().map { $0 } + [nil, nil])
        #expect(Set(set.complement.pieces) == Set(0..<pieceCount).subtracting(model))
    }

    @Test func setOperations() {
        let (left, right) = (PieceSet(pieceCount: 70, pieces: [1, 2, 69]), PieceSet(pieceCount: 70, pieces: [2, 3]))
        #expect(left.union(right).pieces == [1, 2, 3, 69])
        #expect(left.intersection(right).pieces == [2])
        #expect(left.subtracting(right).pieces == [1, 69])
        #expect(left.meets(right))
        #expect(!left.meets(right.subtracting(left)))
        #expect(PieceSet.all(pieceCount: 70).isComplete)
        #expect(PieceSet.all(pieceCount: 70).count == 70)
    }

    @Test(arguments: 0..<20)
    func rarestAgreesWithCounting(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let (pieceCount, sets) = (1 + generator.below(150), generator.below(12))
        var sources: [PickerSource] = []
        for number in 0..<sets {
            var source = PickerSource(SourceID(rawValue: UInt32(number)), .peer, pieceCount: pieceCount)
            for piece in 0..<pieceCount where generator.below(3) > 0 { source.have.insert(piece) }
            sources.append(source)
        }
        let holders = sources.indices.filter { _ in generator.below(2) == 0 }
        let wanted = (0..<pieceCount).filter { _ in generator.below(2) == 0 }
        let rarest = RarestPieces(
            of: PieceSet(pieceCount: pieceCount, pieces: wanted), at: holders, countedAt: Array(sources.indices),
            sources)
        let candidates = wanted.filter { piece in holders.contains { sources[$0].have.contains(piece) } }
        let counts = candidates.map { piece in sources.count { $0.have.contains(piece) } }
        let expected = zip(candidates, counts).filter { $0.1 == counts.min() }.map(\.0)
        #expect((0..<rarest.count).map { rarest.piece(at: $0) } == expected)
    }

    @Test func layoutCutsTheLastPieceShort() throws {
        let layout = try #require(PieceLayout(pieceBytes: 10, totalBytes: 25))
        #expect(layout.pieceCount == 3)
        #expect(layout.range(of: 2) == 20..<25)
        #expect(layout.pieces(touchedBy: 9..<11) == 0..<2)
        #expect(layout.pieces(touchedBy: 5..<5).isEmpty)
        #expect(layout.pieces(within: 9..<25) == 1..<3)
        #expect(layout.pieces(within: 9..<24) == 1..<2)
        #expect(layout.pieces(within: 11..<19).isEmpty)
        #expect(layout.pieces(touchedBy: 20..<1000) == 2..<3)
        #expect(PieceLayout(pieceBytes: 0, totalBytes: 1) == nil)
        #expect(PieceLayout(pieceBytes: 1, totalBytes: .max) == nil)
        #expect(PieceLayout(pieceBytes: 16, totalBytes: 0)?.pieceCount == 0)
    }
}
