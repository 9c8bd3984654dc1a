/// Output on its way to the region, as a machine: what is sealed waits in order, in bounded memory. Who writes is held up
/// while too much waits, but not for ever: then output is dropped, and a line says so.
struct OutputQueue: Hashable, Sendable {
    struct Settings: Hashable, Sendable {
        /// Sealed objects that wait, of 1 MiB at most.
        var maximumObjects = 32
        /// How long a writer is held up while nothing moves.
        var stallMilliseconds: Int64 = 10_000
    }

    private let settings: Settings
    private var sealer = OutputSealer()
    private var waiting: [SealedOutput] = []
    /// Since when too much waits and nothing has moved.
    private var fullSince: Int64?
    private var droppedBytes: UInt64 = 0
    private(set) var isClosed = false

    init(settings: Settings = Settings()) { self.settings = settings }

    /// The next object to send; it stays until it was `sent`.
    var next: SealedOutput? { waiting.first }

    var isDone: Bool { isClosed && waiting.isEmpty }

    /// When `tick` would seal; nil while nothing is open.
    var deadline: Int64? { sealer.deadline }

    mutating func append(_ chunk: [UInt8], now: Int64) {
        guard !isStalled(now) else {
            droppedBytes += UInt64(chunk.count)
            return
        }
        sayWhatWasDropped(now)
        take(sealer.append(chunk, now: now), now)
    }

    /// Whether the writer should wait a little before its next chunk.
    func mustWait(now: Int64) -> Bool { fullSince != nil && !isStalled(now) }

    mutating func tick(now: Int64) {
        if let sealed = sealer.tick(now: now) { take([sealed], now) }
    }

    /// The next object has arrived.
    mutating func sent() {
        if !waiting.isEmpty { waiting.removeFirst() }
        fullSince = nil
    }

    /// No more comes.
    mutating func close(now: Int64) {
        sayWhatWasDropped(now)
        if let last = sealer.finish() { waiting.append(last) }
        isClosed = true
    }

    private func isStalled(_ now: Int64) -> Bool {
        fullSince.map { now - $0 >= settings.stallMilliseconds } ?? false
    }

    private mutating func sayWhatWasDropped(_ now: Int64) {
        guard droppedBytes > 0 else { return }
        let line = "\n[drover: \(droppedBytes) bytes of output were dropped: the region did not take them]\n"
        droppedBytes = 0
        take(sealer.append(Array(line.utf8), now: now), now)
    }

    private mutating func take(_ sealed: [SealedOutput], _ now: Int64) {
        waiting += sealed
        if waiting.count >= settings.maximumObjects { fullSince = fullSince ?? now }
    }
}
