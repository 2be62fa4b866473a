"""Request bodies with many records: decompressed, split into lines, decoded, stored. It knows no domain."""
