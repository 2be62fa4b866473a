"""Request bodies with many records: decompressed, cut into lines, decoded, stored, told of. It knows no domain."""
