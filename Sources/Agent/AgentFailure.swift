/// What an agent cannot do, in one sentence that says what to do.
struct AgentFailure: Error, CustomStringConvertible {
    let description: String
    /// Trying again will not help.
    let isFinal: Bool

    init(_ description: String, isFinal: Bool = false) {
        (self.description, self.isFinal) = (description, isFinal)
    }
}
