internal import Domain

/// A failure's text for the log: the headline, then as many of the last lines of output as there is room for. Escape
/// sequences and other control characters are taken out, secrets in addresses too.
func failureDetail(_ headline: String, tail: [UInt8] = [], maximumBytes: Int = QueueCommand.maximumDetailBytes)
    -> String
{
    let start = prefix(of: readable(headline), maximumBytes: maximumBytes)
    var lines = readable(String(decoding: tail, as: UTF8.self)).split(separator: "\n")[...]
    lines = lines.drop { $0.allSatisfy(\.isWhitespace) }
    var kept: [Substring] = []
    var room = maximumBytes - start.utf8.count
    for line in lines.reversed() where !line.allSatisfy(\.isWhitespace) {
        room -= line.utf8.count + 1
        if room < 0 { break }
        kept.append(line)
    }
    return ([start[...]] + kept.reversed()).joined(separator: "\n")
}

private func prefix(of text: String, maximumBytes: Int) -> String {
    var shortened = text[...]
    while shortened.utf8.count > maximumBytes { shortened.removeLast() }
    return String(shortened)
}

private func readable(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    var isInEscape = false
    for scalar in RepositoryAddress.withoutSecrets(text).unicodeScalars {
        if isInEscape {
            // A terminal's sequence ends with a letter; its first `[` is no letter.
            if scalar.properties.isAlphabetic { isInEscape = false }
        } else if scalar == "\u{1b}" {
            isInEscape = true
        } else if scalar == "\n" || scalar == "\t" || scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value) {
            result.append(scalar)
        }
    }
    return String(result)
}
