import Domain
import Foundation
import Glibc
import Packs
import Testing

struct ReleaseKeyTests {
    private func code(_ path: String) -> PackFailure.Code? {
        failureCode { () throws(PackFailure) in _ = try ReleaseKey.loadOrCreate(path: path) }
    }

    @Test func aKeyIsMadeOnceAndStays() throws {
        let workshop = try Workshop()
        let path = workshop.file("release-key")
        let missing = failureCode { () throws(PackFailure) in _ = try ReleaseKey.load(path: path) }
        #expect(missing == .badKey)
        let first = try ReleaseKey.loadOrCreate(path: path)
        let second = try ReleaseKey.loadOrCreate(path: path)
        #expect(first.publicKey == second.publicKey && first.publicKey.count == 32)
        #expect(workshop.names == ["release-key"])
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)

        let packed = try PackedFile([1, 2, 3], settings: PackSettings())
        let signed = try Manifest.sign(packed.manifest.unsignedBytes, signer: first)
        #expect(try Manifest.verify(signed, trustedKeys: [second.publicKey]).totals == packed.manifest.totals)
    }

    @Test func twoKeysDiffer() throws {
        let workshop = try Workshop()
        let first = try ReleaseKey.loadOrCreate(path: workshop.file("a"))
        #expect(try ReleaseKey.loadOrCreate(path: workshop.file("b")).publicKey != first.publicKey)
    }

    @Test func aDamagedOrOpenKeyIsRefusedAndNotReplaced() throws {
        let workshop = try Workshop()
        let path = workshop.file("release-key")
        _ = try ReleaseKey.loadOrCreate(path: path)
        let good = try workshop.read("release-key")
        for bad in [[], Array(good.dropLast()), good + [10], [0] + good.dropFirst(), Array("x".utf8) + good] {
            try workshop.write(bad, "release-key")
            _ = unsafe chmod(path, 0o600)
            #expect(code(path) == .badKey)
            #expect(try workshop.read("release-key") == bad)
        }
        try workshop.write(good, "release-key")
        for mode: mode_t in [0o644, 0o640, 0o604, 0o660] {
            _ = unsafe chmod(path, mode)
            #expect(code(path) == .badKey)
        }
        _ = unsafe chmod(path, 0o600)
        #expect(code(path) == nil)
        #expect(code(workshop.path) == .badKey)
        #expect(code(workshop.file("none/key")) == .io)
    }

    @Test func aLeftoverOfADeadStartIsNoObstacle() throws {
        let workshop = try Workshop()
        try workshop.write([1], "release-key.new-\(getpid())")
        _ = try ReleaseKey.loadOrCreate(path: workshop.file("release-key"))
        #expect(workshop.names == ["release-key"])
    }
}
