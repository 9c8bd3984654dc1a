internal import NIOCore

/// A moment that is moved often and seldom comes: moving it later costs no timer. Only its event loop touches it.
final class LazyDeadline {
    private let loop: any EventLoop
    private let body: () -> Void
    private var deadline: NIODeadline?
    private var timer: (task: Scheduled<Void>, at: NIODeadline)?

    /// `body` is called when the moment comes; then none is set.
    init(_ loop: any EventLoop, _ body: @escaping () -> Void) { (self.loop, self.body) = (loop, body) }

    func set(milliseconds: Int64) {
        let moment = NIODeadline.now() + .milliseconds(milliseconds)
        deadline = moment
        if let timer, timer.at <= moment { return }
        timer?.task.cancel()
        schedule(moment)
    }

    func clear() { deadline = nil }

    /// Whoever owns it lets go of it.
    func end() {
        deadline = nil
        timer?.task.cancel()
        timer = nil
    }

    private func schedule(_ moment: NIODeadline) {
        let task = loop.assumeIsolated().scheduleTask(deadline: moment) { [self] in fired() }
        timer = (task, moment)
    }

    private func fired() {
        timer = nil
        guard let deadline else { return }
        guard deadline <= .now() else { return schedule(deadline) }
        self.deadline = nil
        body()
    }
}
