import ArgumentParser
import Foundation

/// Two versions of one file.
struct FilePair: ExpressibleByArgument {
    var name: String
    var old: String
    var new: String

    var oldBytes: Int { (try? fileBytes(old)) ?? 0 }
    var newBytes: Int { (try? fileBytes(new)) ?? 0 }

    init(name: String, old: String, new: String) { (self.name, self.old, self.new) = (name, old, new) }

    /// `NAME=OLD,NEW`, two files that are there.
    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, case let files = parts[1].split(separator: ",").map(String.init), files.count == 2,
            files.allSatisfy(FileManager.default.isReadableFile)
        else { return nil }
        self.init(name: parts[0], old: files[0], new: files[1])
    }

    /// `relink`, `rebuild` and `edits`.
    static func make(in workplace: Workplace) async throws -> [FilePair] {
        let directory = try workplace.directory("pairs")
        progress("linking LLVM and clang three times")
        try await shell("/bin/sh", ["-ec", linking], in: directory)
        let first = "\(directory)/first"
        try edit(first, to: "\(directory)/edited")
        return [
            FilePair(name: "relink", old: first, new: "\(directory)/second"),
            FilePair(name: "rebuild", old: first, new: "\(directory)/again"),
            FilePair(name: "edits", old: first, new: "\(directory)/edited"),
        ]
    }

    /// Debian's libraries of LLVM and clang 14, whole; in `second` one more function stands between their halves.
    private static let linking = #"""
        echo 'int main(void) { return 0; }' > main.c
        {
            echo 'volatile int sink; int more(int x) {'
            for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
                echo "x = x * $((1000003 + i * 7919)) + $((i * 331)); if (x & $((1 << i))) sink = x;"
            done
            echo 'return x; }'
        } > more.c
        cc -O1 -fPIC -c main.c more.c
        ls /usr/lib/llvm-14/lib/*.a > libraries
        half=$(($(wc -l < libraries) / 2))
        link() {
            output=$1
            shift
            c++ -fuse-ld=gold -o "$output" main.o -Wl,--whole-archive "$@" -Wl,--no-whole-archive \
                -Wl,--unresolved-symbols=ignore-all -Wl,--allow-multiple-definition -lpthread -ldl -lm 2> "$output.log"
        }
        link first $(cat libraries)
        link again $(cat libraries)
        link second $(head -n $half libraries) more.o $(tail -n +$((half + 1)) libraries)
        """#

    /// Every fiftieth block of 4 KiB becomes noise, and noise of 1 to 64 bytes is put in at about 20 places. Piece by piece:
    /// what this process once held would be counted as the peak of every program that it starts.
    private static func edit(_ source: String, to path: String) throws {
        let (block, piece) = (4096, 50 * 4096)
        let input = try FileHandle(forReadingFrom: URL(filePath: source))
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        let output = try FileHandle(forWritingTo: URL(filePath: path))
        let pieces = try fileBytes(source) / piece
        var state: UInt64 = 5
        func next() -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33)
        }
        func noise(_ count: Int) -> Data { Data((0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 8) }) }
        var number = 0
        while var bytes = try input.read(upToCount: piece), !bytes.isEmpty {
            if bytes.count == piece {
                bytes.replaceSubrange(0..<block, with: noise(block))
                if number.isMultiple(of: max(1, pieces / 20)) {
                    bytes.insert(contentsOf: noise(1 + next() % 64), at: next() % piece)
                }
            }
            try output.write(contentsOf: bytes)
            number += 1
        }
        try output.close()
    }
}

func fileBytes(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return (attributes[.size] as? NSNumber)?.intValue ?? 0
}
