/// How long whoever has pieces gathers the news of them.
package enum HaveNews {
    /// Each message wakes somebody up. At the beginning, when hardly anything is there, and toward the end, when hardly
    /// anything is missing, somebody waits for just these pieces. Large pieces are worth the waking: at 10 Gbit/s twenty
    /// of 16 MiB come in 300 ms, and whoever does not hear of them asks the wrong ones.
    package static func gatherMilliseconds(_ have: PieceSet, pieceBytes: UInt64) -> Int64 {
        let few = have.pieceCount / 32
        let isLarge = pieceBytes >= 1 << 20
        if have.count <= few || have.pieceCount - have.count <= few { return isLarge ? 10 : 25 }
        return isLarge ? 50 : 300
    }
}
