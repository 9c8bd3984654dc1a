import Foundation
import Glibc

/// What a program took, from its start to its end.
struct ProcessCost {
    var processorSeconds: Double
    var peakBytes: Int

    /// Runs a program, found in PATH where it is no path; a failure when it does not end with 0.
    static func of(_ command: [String]) throws -> ProcessCost {
        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        var (pid, status, usage) = (pid_t(0), Int32(0), rusage())
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        // What it prints is of no interest; what it complains of is.
        unsafe posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        guard unsafe posix_spawnp(&pid, command[0], &actions, nil, &arguments, environ) == 0 else {
            throw BenchmarkFailure("\(command[0]) cannot be started; is it installed?")
        }
        while unsafe wait4(pid, &status, 0, &usage) < 0 {
            guard errno == EINTR else { throw BenchmarkFailure("\(command[0]) cannot be waited for") }
        }
        guard status == 0 else { throw BenchmarkFailure("\(command.joined(separator: " ")) failed") }
        return ProcessCost(
            processorSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime), peakBytes: usage.ru_maxrss << 10)
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
}
