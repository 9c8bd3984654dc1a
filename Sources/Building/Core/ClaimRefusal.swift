/// Why claims are refused, so that each reason is logged once and not at every try.
struct ClaimRefusal {
    private var last: [String]?

    mutating func isNews(_ code: String, _ detail: String) -> Bool {
        defer { last = [code, detail] }
        return last != [code, detail]
    }

    /// A claim was answered.
    mutating func ended() { last = nil }
}
