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

    /// Every fiftieth block of 4 KiB becomes noise, and noise of 1 to 64 bytes is put in at 20 places.
    private static func edit(_ source: String, to path: String) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: source)))
        var state: UInt64 = 5
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 8) } }
        for start in stride(from: 0, to: bytes.count - 4096, by: 50 * 4096) {
            bytes.replaceSubrange(start..<(start + 4096), with: noise(4096))
        }
        for _ in 0..<20 {
            bytes.insert(contentsOf: noise(1 + Int(next() % 64)), at: Int(next()) % bytes.count)
        }
        try Data(bytes).write(to: URL(filePath: path))
    }
}

func fileBytes(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return (attributes[.size] as? NSNumber)?.intValue ?? 0
}
