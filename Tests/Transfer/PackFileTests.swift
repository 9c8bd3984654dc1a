import Domain
import Foundation
import Packs
import Swarm
import Testing

@testable import Transfer

struct PackFileTests {
    private let pack: TestPack
    private let path: String

    init() throws {
        pack = try TestPack(rawBytes: 1_000_000)
        path = pack.scratch.file("final")
    }

    private func open(boot: String = "this-start") throws -> PackFile {
        var settings = PackFileSettings()
        settings.bootID = boot
        return try PackFile(manifest: pack.manifest, finalPath: path, settings: settings)
    }

    private func piece(_ index: Int) throws -> [UInt8] {
        try pack.bytes(try #require(pack.manifest.pieceRange(index)))
    }

    private func damage(_ file: String, at offset: UInt64) throws {
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: file))
        try handle.seek(toOffset: offset)
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: offset)
        try handle.write(contentsOf: [~byte])
    }

    @Test func takesItsSpaceAtOnce() throws {
        let file = try open()
        let attributes = try FileManager.default.attributesOfItem(atPath: file.partialPath)
        #expect((attributes[.size] as? NSNumber)?.uint64Value == pack.totalBytes)
        #expect(file.verified.isEmpty)
    }

    @Test func keepsPiecesWithoutBeingClosed() throws {
        let file = try open()
        #expect(try file.accept(try piece(3), piece: 3))
        #expect(try file.accept(try piece(0), piece: 0))
        #expect(try open().verified.pieces == [0, 3])
    }

    @Test func aPieceCountsWhenItIsRecorded() throws {
        let file = try open()
        #expect(try file.write(try piece(3), piece: 3))
        #expect(try open().verified.isEmpty)
        try file.record([3])
        #expect(try open().verified.pieces == [3])
    }

    @Test func refusesWhatIsNotThePiece() throws {
        let file = try open()
        var bytes = try piece(3)
        #expect(try !file.accept(bytes, piece: 2))
        bytes[100] ^= 1
        #expect(try !file.accept(bytes, piece: 3))
        #expect(try !file.accept([], piece: 3))
        #expect(try !file.accept(bytes, piece: 1_000_000))
        #expect(try open().verified.isEmpty)
    }

    @Test func afterARebootEveryClaimedPieceIsHashed() throws {
        let file = try open()
        for index in [1, 3, 5] { #expect(try file.accept(try piece(index), piece: index)) }
        try damage(file.partialPath, at: 3 * pack.manifest.pieceLength + 17)
        #expect(try open().verified.pieces == [1, 3, 5])
        #expect(try open(boot: "next-start").verified.pieces == [1, 5])
    }

    @Test(arguments: ["torn", "damaged", "gone"])
    func aMapThatCannotBeReadIsMadeAgain(fault: String) throws {
        let file = try open()
        for index in [1, 5] { #expect(try file.accept(try piece(index), piece: index)) }
        let map = file.partialPath + ".pieces"
        switch fault {
        case "torn": try Data(contentsOf: URL(fileURLWithPath: map)).prefix(60).write(to: URL(fileURLWithPath: map))
        case "damaged": try damage(map, at: 90)
        default: try FileManager.default.removeItem(atPath: map)
        }
        #expect(try open().verified.pieces == [1, 5])
        #expect(try open().verified.pieces == [1, 5])
    }

    @Test func theFileOfAnotherPackSaysNothing() throws {
        let file = try open()
        #expect(try file.accept(try piece(1), piece: 1))
        let other = try TestPack(rawBytes: 1_000_000)
        let second = try PackFile(manifest: other.manifest, finalPath: path)
        #expect(second.verified.isEmpty)
    }

    @Test func finishesOnceWholeAndNotBefore() throws {
        let file = try open()
        #expect(throws: TransferFailure.self) { try file.finish() }
        for index in pack.manifest.pieces.indices { #expect(try file.accept(try piece(index), piece: index)) }
        try Data("old".utf8).write(to: URL(fileURLWithPath: path))
        try file.finish()
        try file.finish()
        try PackReader(path: path, manifest: pack.manifest).verifyPacked()
        #expect(!FileManager.default.fileExists(atPath: file.partialPath))
    }

    @Test func mapsReturn() throws {
        let map = PieceMap(root: .zero, bootID: "abc", pieces: PieceSet(pieceCount: 20, pieces: [1, 19]))
        #expect(PieceMap.parse(map.bytes, pieceCount: 20) == map)
        #expect(PieceMap.parse(map.bytes, pieceCount: 30) == nil)
        for index in map.bytes.indices {
            var bytes = map.bytes
            bytes[index] ^= 4
            #expect(PieceMap.parse(bytes, pieceCount: 20) == nil)
        }
    }

    @Test func aDirectoryThatIsNotThereIsTold() {
        #expect {
            try PackFile(manifest: pack.manifest, finalPath: pack.scratch.file("no/such/place"))
        } throws: { error in
            (error as? TransferFailure)?.code == .io
        }
    }
}

extension PackFile {
    /// Writes and records one piece.
    fileprivate func accept(_ bytes: [UInt8], piece: Int) throws -> Bool {
        guard try write(bytes, piece: piece) else { return false }
        try record([piece])
        return true
    }
}
