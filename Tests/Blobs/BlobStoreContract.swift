import Domain
import Ports
import Testing

/// What every blob store keeps to. Each case is given an empty store.
enum BlobStoreContract: CaseIterable {
    case whatIsPutIsRead, emptyBlobs, rangesEndAtTheEnd, contentIsVerified, lengthIsVerified, namesAreGivenOnce
    case repeatsSucceed, brokenSourcesLeaveNothing, deletionIsIdempotent, badNamesAreRefused, namesMayNest
    case listsAreSortedAndPaged, oneOfEightWritersWins, eightWritersOfTheSameAllSucceed

    func check(_ store: any BlobStore) async throws {
        switch self {
        case .whatIsPutIsRead: try await checkWhatIsPutIsRead(store)
        case .emptyBlobs: try await checkEmptyBlobs(store)
        case .rangesEndAtTheEnd: try await checkRanges(store)
        case .contentIsVerified: try await checkContent(store)
        case .lengthIsVerified: try await checkLength(store)
        case .namesAreGivenOnce: try await checkNamesAreGivenOnce(store)
        case .repeatsSucceed: try await checkRepeats(store)
        case .brokenSourcesLeaveNothing: try await checkBrokenSources(store)
        case .deletionIsIdempotent: try await checkDeletion(store)
        case .badNamesAreRefused: try await checkBadNames(store)
        case .namesMayNest: try await checkNesting(store)
        case .listsAreSortedAndPaged: try await checkLists(store)
        case .oneOfEightWritersWins: try await checkRace(store)
        case .eightWritersOfTheSameAllSucceed: try await checkFriendlyRace(store)
        }
    }

    private static let name = BlobKey.named("logs/42/1/7")

    private func checkWhatIsPutIsRead(_ store: any BlobStore) async throws {
        let seed = propertySeed("whatIsPutIsRead")
        var generator = SeededGenerator(seed: seed)
        for round in 0..<10 {
            let bytes = generator.noise(Int.random(in: 0...200_000, using: &generator))
            for key in [BlobKey.content(sha256(bytes)), .named("round/\(round)")] {
                #expect(try await store.information(key) == nil)
                let size = Int.random(in: 1...70_000, using: &generator)
                try await store.put(key, bytes: UInt64(bytes.count), from: chunks(bytes, of: size))
                #expect(try await store.information(key) == BlobInformation(key: key, bytes: UInt64(bytes.count)))
                let isSame = try await store.readAll(key) == bytes
                #expect(isSame, "seed \(seed)")
            }
        }
    }

    private func checkEmptyBlobs(_ store: any BlobStore) async throws {
        for key in [BlobKey.content(sha256([])), Self.name] {
            try await store.put(key, [])
            #expect(try await store.information(key)?.bytes == 0)
            #expect(try await store.read(key, offset: 0, count: 10) == [])
        }
    }

    private func checkRanges(_ store: any BlobStore) async throws {
        let bytes = [UInt8](0..<100)
        try await store.put(Self.name, bytes)
        #expect(try await store.read(Self.name, offset: 0, count: 100) == bytes)
        #expect(try await store.read(Self.name, offset: 10, count: 5) == [10, 11, 12, 13, 14])
        #expect(try await store.read(Self.name, offset: 98, count: 5) == [98, 99])
        #expect(try await store.read(Self.name, offset: 100, count: 5) == [])
        #expect(try await store.read(Self.name, offset: 5, count: 0) == [])
        #expect(try await store.read(Self.name, offset: .max, count: 5) == [])
        let missing = await failureCode { () throws(BlobFailure) in
            _ = try await store.read(.named("none"), offset: 0, count: 1)
        }
        #expect(missing == .notFound)
    }

    private func checkContent(_ store: any BlobStore) async throws {
        let key = BlobKey.content(sha256([1, 2, 3]))
        #expect(await failureCode { () throws(BlobFailure) in try await store.put(key, [1, 2, 4]) } == .mismatch)
        #expect(try await store.information(key) == nil)
        try await store.put(key, [1, 2, 3])
        #expect(await failureCode { () throws(BlobFailure) in try await store.put(key, [1, 2, 4]) } == .mismatch)
        #expect(try await store.readAll(key) == [1, 2, 3])
    }

    private func checkLength(_ store: any BlobStore) async throws {
        let bytes = [UInt8](repeating: 1, count: 5000)
        for wrong: UInt64 in [0, 4999, 5001] {
            let code = await failureCode { () throws(BlobFailure) in
                try await store.put(Self.name, bytes: wrong, from: chunks(bytes))
            }
            #expect(code == .mismatch)
            #expect(try await store.information(Self.name) == nil)
        }
    }

    private func checkNamesAreGivenOnce(_ store: any BlobStore) async throws {
        try await store.put(Self.name, [1])
        for other: [UInt8] in [[2], [1, 1], []] {
            #expect(await failureCode { () throws(BlobFailure) in try await store.put(Self.name, other) } == .exists)
        }
        #expect(try await store.readAll(Self.name) == [1])
    }

    private func checkRepeats(_ store: any BlobStore) async throws {
        for key in [Self.name, .content(sha256([1, 2]))] {
            try await store.put(key, [1, 2])
            try await store.put(key, [1, 2])
            #expect(try await store.readAll(key) == [1, 2])
        }
    }

    private struct SourceBroke: Error {}

    private func checkBrokenSources(_ store: any BlobStore) async throws {
        for key in [Self.name, .content(sha256([1, 2]))] {
            let source = AsyncThrowingStream<[UInt8], any Error> { continuation in
                continuation.yield([1])
                continuation.finish(throwing: SourceBroke())
            }
            let code = await failureCode { () throws(BlobFailure) in
                try await store.put(key, bytes: 2, from: source)
            }
            #expect(code == .io)
            #expect(try await store.information(key) == nil)
            try await store.put(key, [1, 2])
        }
    }

    private func checkDeletion(_ store: any BlobStore) async throws {
        let (kept, keptContent) = (BlobKey.named("logs/42/1/8"), BlobKey.content(sha256([9])))
        try await store.put(kept, [9])
        try await store.put(keptContent, [9])
        for key in [Self.name, .content(sha256([1]))] {
            try await store.delete(key)
            try await store.put(key, [1])
            try await store.delete(key)
            #expect(try await store.information(key) == nil)
            try await store.delete(key)
        }
        // A name is free again, and the neighbours are untouched.
        try await store.put(Self.name, [2])
        #expect(try await store.readAll(Self.name) == [2])
        #expect(try await store.readAll(kept) == [9])
        #expect(try await store.readAll(keptContent) == [9])
    }

    private func checkBadNames(_ store: any BlobStore) async throws {
        let names = [
            "", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/../b", "a/..", ".hidden", "a/.hidden", "a b", "a\0b",
            "ä",
            "a\\b", "a\nb", "a:b", "~", String(repeating: "a", count: 256), "1/2/3/4/5/6/7/8/9", "a/%2e%2e/b",
        ]
        for name in names {
            let key = BlobKey.named(name)
            #expect(await failureCode { () throws(BlobFailure) in try await store.put(key, [1]) } == .badKey, "\(name)")
            #expect(
                await failureCode { () throws(BlobFailure) in _ = try await store.information(key) } == .badKey,
                "\(name)")
            #expect(await failureCode { () throws(BlobFailure) in try await store.delete(key) } == .badKey, "\(name)")
            let read = await failureCode { () throws(BlobFailure) in
                _ = try await store.read(key, offset: 0, count: 1)
            }
            #expect(read == .badKey, "\(name)")
        }
        for name in ["a", "A-Z_0.9", "a..b", "1/2/3/4/5/6/7/8", String(repeating: "a", count: 255), "-", "_/x.y"] {
            try await store.put(.named(name), [1])
            #expect(try await store.readAll(.named(name)) == [1], "\(name)")
        }
    }

    /// Names are texts, not places: one may be another's start.
    private func checkNesting(_ store: any BlobStore) async throws {
        let names = ["a/b/c", "a", "a/b", "a/b/c/d"]
        for (index, name) in names.enumerated() { try await store.put(.named(name), [UInt8(index)]) }
        for (index, name) in names.enumerated() { #expect(try await store.readAll(.named(name)) == [UInt8(index)]) }
        try await store.delete(.named("a/b"))
        #expect(
            try await store.list(prefix: "", after: nil, limit: 10).map(\.key)
                == ["a", "a/b/c", "a/b/c/d"].map(BlobKey.named))
    }

    private func checkLists(_ store: any BlobStore) async throws {
        let seed = propertySeed("listsAreSortedAndPaged")
        var generator = SeededGenerator(seed: seed)
        var names: Set<String> = []
        while names.count < 60 {
            let parts = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                ["a", "b", "a-b", "a.b", "aa", "B", "0", "a_"].randomElement(using: &generator) ?? "a"
            }
            names.insert(parts.joined(separator: "/"))
        }
        for name in names { try await store.put(.named(name), [1, 2]) }
        try await store.put(.content(sha256([1])), [1])
        func isBefore(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }
        for prefix in ["", "a", "a/", "a-", "b/a", "none", "a/b/c/d/e/f/g/h/i/j", "../", "ä"] {
            let expected = names.filter { $0.hasPrefix(prefix) }.sorted(by: isBefore)
            #expect(try await pages(of: store, prefix, page: 1000) == expected, "seed \(seed), prefix \(prefix)")
            #expect(try await pages(of: store, prefix, page: 7) == expected, "seed \(seed), prefix \(prefix)")
            let after = "a/a\(UInt8.random(in: 0...9, using: &generator))"
            let rest = try await store.list(prefix: prefix, after: after, limit: 1000)
            #expect(rest.map(\.key) == expected.filter { isBefore(after, $0) }.map(BlobKey.named), "seed \(seed)")
        }
        #expect(try await store.list(prefix: "", after: nil, limit: 1).first?.bytes == 2)
        #expect(try await store.list(prefix: "", after: nil, limit: 0) == [])
    }

    /// All names under a prefix, page by page.
    private func pages(of store: any BlobStore, _ prefix: String, page: Int) async throws -> [String] {
        var (found, after) = ([String](), String?.none)
        while true {
            let part = try await store.list(prefix: prefix, after: after, limit: page)
            for case .named(let name) in part.map(\.key) { found.append(name) }
            guard part.count == page, found.last != after else { return found }
            after = found.last
        }
    }

    private func checkRace(_ store: any BlobStore) async throws {
        for round in 0..<20 {
            let key = BlobKey.named("race/\(round)")
            let results = await race(store, key) { writer in [UInt8](repeating: UInt8(writer), count: 3000) }
            #expect(results.filter { $0 == nil }.count == 1)
            #expect(results.filter { $0 == .exists }.count == 7)
            let winner = results.firstIndex(of: nil).map { UInt8($0) }
            #expect(try await store.readAll(key) == [UInt8](repeating: winner ?? 255, count: 3000))
        }
    }

    private func checkFriendlyRace(_ store: any BlobStore) async throws {
        let bytes = [UInt8](repeating: 5, count: 3000)
        for key in [BlobKey.named("race"), .content(sha256(bytes))] {
            let results = await race(store, key) { _ in bytes }
            #expect(results == [BlobFailure.Code?](repeating: nil, count: 8))
            #expect(try await store.readAll(key) == bytes)
        }
    }

    /// Eight writers at once: how each ended.
    private func race(
        _ store: any BlobStore, _ key: BlobKey, _ bytes: @escaping @Sendable (Int) -> [UInt8]
    ) async -> [BlobFailure.Code?] {
        await withTaskGroup(of: (Int, BlobFailure.Code?).self) { group in
            for writer in 0..<8 {
                group.addTask {
                    (writer, await failureCode { () throws(BlobFailure) in try await store.put(key, bytes(writer)) })
                }
            }
            var results = [BlobFailure.Code?](repeating: .io, count: 8)
            for await (writer, code) in group { results[writer] = code }
            return results
        }
    }
}
