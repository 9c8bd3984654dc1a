internal import CProcess
internal import Glibc
internal import Ports

/// What becomes of a child's standard output and error.
enum SpawnOutput: Sendable {
    case none
    case descriptor(Int32)
}

/// Who looks after the child.
enum SpawnKeeping: Sendable {
    /// Nobody: it outlives us.
    case none
    /// The kernel sends this signal when the starting thread ends.
    case deathSignal(Int32)
    /// A keeper process, which the returned number names.
    case keeper
}

/// Starts a process and opens its pidfd. Blocks until it has become the program, or has failed to.
func spawn(
    executable: String, arguments: [String], environment: [String: String], directory: String, output: SpawnOutput,
    keeping: SpawnKeeping
) throws(ProcessFailure) -> (pid: Int32, descriptor: Int32) {
    guard executable.hasPrefix("/") else {
        throw ProcessFailure(code: "not-found", message: "Give '\(executable)' as an absolute path.")
    }
    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let texts = [executable, directory] + arguments + variables
    guard !texts.contains(where: { $0.utf8.contains(0) }) else {
        throw ProcessFailure(
            code: "io", message: "A text for '\(executable)' holds a zero byte; take it out of its arguments.")
    }
    var pid: Int32 = -1
    var stage: Int32 = 0
    let error = unsafe withCStrings([executable] + arguments) { argumentList in
        unsafe withCStrings(variables) { variableList in
            unsafe executable.withCString { executable in
                unsafe directory.withCString { directory in
                    var request = unsafe drover_spawn(
                        executable: executable, arguments: argumentList, environment: variableList,
                        directory: directory, output: -1, death_signal: 0)
                    if case .descriptor(let descriptor) = output { unsafe request.output = descriptor }
                    if case .deathSignal(let number) = keeping { unsafe request.death_signal = number }
                    if case .keeper = keeping { return unsafe drover_spawn_kept(&request, &pid, &stage) }
                    return unsafe drover_spawn_session(&request, &pid, &stage)
                }
            }
        }
    }
    guard error == 0 else {
        throw spawnFailure(executable: executable, directory: directory, stage: stage, error: error)
    }
    return (pid, try pidDescriptor(ofNewChild: pid))
}

/// A child that cannot be watched is no use: it is ended again.
private func pidDescriptor(ofNewChild pid: Int32) throws(ProcessFailure) -> Int32 {
    let descriptor = drover_pidfd_open(pid)
    if descriptor >= 0 { return descriptor }
    kill(pid, SIGKILL)
    _ = waitpid(pid, nil, 0)
    throw ProcessFailure(
        code: "limit",
        message: "The new process cannot be watched (\(errorText(-descriptor))); raise the limit of open descriptors.")
}

private func spawnFailure(executable: String, directory: String, stage: Int32, error: Int32) -> ProcessFailure {
    let cause = errorText(error)
    if [EAGAIN, ENOMEM, EMFILE, ENFILE, E2BIG].contains(error) {
        return ProcessFailure(
            code: "limit",
            message: "'\(executable)' was not started: \(cause). Raise the limits of processes, memory or descriptors.")
    }
    switch UInt32(bitPattern: stage) {
    case DROVER_STAGE_EXEC.rawValue where error == ENOENT:
        return ProcessFailure(
            code: "not-found", message: "'\(executable)' (or the interpreter it names) does not exist; install it.")
    case DROVER_STAGE_EXEC.rawValue:
        return ProcessFailure(
            code: "not-executable",
            message: "'\(executable)' cannot be run: \(cause). It must be a program for this machine with mode 755.")
    case DROVER_STAGE_DIRECTORY.rawValue:
        return ProcessFailure(
            code: "not-found", message: "'\(executable)' cannot start in the directory '\(directory)': \(cause).")
    default:
        return ProcessFailure(code: "io", message: "'\(executable)' was not started: \(cause) (step \(stage)).")
    }
}

/// The system's words for an errno.
func errorText(_ number: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard unsafe strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func withCStrings<Result>(
    _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = unsafe texts.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeBufferPointer { list in
        // An array with at least its nil at the end has an address.
        unsafe body(list.baseAddress!)
    }
}
