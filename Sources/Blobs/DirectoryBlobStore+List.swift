internal import Foundation
package import Ports

extension DirectoryBlobStore {
    /// Sorted by the names' bytes. Costs the directories that the page touches, not the whole store.
    package func list(prefix: String, after: String?, limit: Int) async throws(BlobFailure) -> [BlobInformation] {
        let root = path(["named"])
        return try await threads.run { () throws(BlobFailure) in
            var page = Page(prefix: prefix.utf8Bytes, after: after?.utf8Bytes ?? [], limit: limit)
            try page.visit(root, name: "")
            return page.found
        }
    }

    /// A walk in the names' order. A directory `d` sorts as `d/`, what its blobs' names start with.
    private struct Page {
        let prefix: [UInt8]
        let after: [UInt8]
        let limit: Int
        var found: [BlobInformation] = []

        mutating func visit(_ directory: String, name: String) throws(BlobFailure) {
            for entry in try entries(directory, name) {
                guard found.count < limit else { return }
                let path = directory + "/" + entry.file
                if entry.isDirectory {
                    try visit(path, name: entry.name)
                } else if let size = try StoreFiles.size(path) {
                    found.append(BlobInformation(key: .named(entry.name), bytes: size))
                }
            }
        }

        private struct Entry {
            var file: String
            var name: String
            var isDirectory: Bool
        }

        /// What may hold names of this page, in order.
        private func entries(_ directory: String, _ name: String) throws(BlobFailure) -> [Entry] {
            var entries: [Entry] = []
            for file in try StoreFiles.names(in: directory) where file != blobsDirectory && isNamePart(file) {
                let entry = Entry(file: file, name: name + file + "/", isDirectory: true)
                if mayHold(entry.name.utf8Bytes) { entries.append(entry) }
            }
            for file in try StoreFiles.names(in: directory + "/" + blobsDirectory) where isNamePart(file) {
                let own = name + file
                guard own.utf8Bytes.starts(with: prefix), after.lexicographicallyPrecedes(own.utf8Bytes) else {
                    continue
                }
                entries.append(Entry(file: blobsDirectory + "/" + file, name: own, isDirectory: false))
            }
            return entries.sorted { $0.name.utf8Bytes.lexicographicallyPrecedes($1.name.utf8Bytes) }
        }

        /// Whether names that start with `start` can be on the page.
        private func mayHold(_ start: [UInt8]) -> Bool {
            guard start.starts(with: prefix) || prefix.starts(with: start) else { return false }
            return after.lexicographicallyPrecedes(start) || after.starts(with: start)
        }
    }
}

extension String {
    fileprivate var utf8Bytes: [UInt8] { Array(utf8) }
}
