import Foundation
import Glibc
import Synchronization

/// Single keys of a person at a terminal, without echo.
final class Keyboard {
    private let terminal: FileHandle
    /// How the terminal was set before; nil when it is so again.
    private static let before = Mutex(String?.none)

    /// Nil where nobody sits.
    init?() {
        guard isatty(STDOUT_FILENO) == 1, let terminal = FileHandle(forUpdatingAtPath: "/dev/tty"),
            let settings = Self.stty(["-g"])
        else { return nil }
        self.terminal = terminal
        Self.before.withLock { $0 = settings }
        _ = Self.stty(["-icanon", "-echo"])
    }

    deinit { Self.giveBack() }

    /// The next key; nil when the terminal is gone.
    func next() -> Character? {
        (try? terminal.read(upToCount: 1))?.first.map { Character(UnicodeScalar($0)) }
    }

    /// Sets the terminal as it was.
    static func giveBack() {
        if let settings = before.withLock({ $0.take() }) { _ = stty([settings]) }
    }

    private static func stty(_ arguments: [String]) -> String? {
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["stty"] + arguments
        process.standardInput = FileHandle(forReadingAtPath: "/dev/tty")
        process.standardOutput = output
        guard (try? process.run()) != nil else { return nil }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return process.terminationStatus == 0 ? text.trimmingCharacters(in: .whitespacesAndNewlines) : nil
    }
}
