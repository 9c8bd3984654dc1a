import Foundation

/// What libFuzzer calls with every input.
typealias OneInput = @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt

/// libFuzzer's own main, as a function.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>, _ body: OneInput
) -> CInt

/// Its default entry; ours names the target first.
@_cdecl("LLVMFuzzerTestOneInput")
public func takeInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    unsafe Fuzz.target.take(Array(unsafe UnsafeBufferPointer(start: start, count: count)))
    return 0
}

/// `fuzz TARGET CORPUS...`: the rest is libFuzzer's; `fuzz seeds DIRECTORY`: writes valid inputs of every target;
/// `fuzz targets`: names them.
@main struct Fuzz {
    nonisolated(unsafe) static var target = FuzzTarget.manifest

    static func main() throws {
        let arguments = CommandLine.arguments
        switch arguments.dropFirst().first {
        case "targets": print(FuzzTarget.real.map(\.rawValue).joined(separator: "\n"))
        case "seeds" where arguments.count == 3: try FuzzSeeds.write(below: arguments[2])
        case let name?:
            guard let named = FuzzTarget(rawValue: name) else { fallthrough }
            unsafe target = named
            var count = CommandLine.argc - 1
            var values = unsafe CommandLine.unsafeArgv + 1
            exit(unsafe runDriver(&count, &values, takeInput))
        case nil:
            print("usage: fuzz targets | seeds DIRECTORY | TARGET [CORPUS] [-libfuzzer-option=...]")
            exit(2)
        }
    }
}
