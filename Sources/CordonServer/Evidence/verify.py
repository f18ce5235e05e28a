#!/usr/bin/env python3
"""Checks what Cordon hands to an auditor. Needs Python 3.8 or later and nothing else.

  python3 verify.py [--key VKEY]... [--witness VKEY]... [--earlier CHECKPOINT]...
      the archive in whose folder this file lies: logs, certificates, what other regions witnessed, digests of all files
  python3 verify.py entries REGION [KIND]
      the entries of a region's log in this archive, one a line with its number, as they are stored
  python3 verify.py certificate FILE --key VKEY [--checkpoint FILE]
      one erasure certificate
  python3 verify.py proof ENTRY PROOF --key VKEY
      that an entry stands in a log

A key has the form name+01234567+base64 and should have come to you by another way than this archive. A checkpoint that you
kept from an earlier visit shows that nothing was taken back since. Exit code: 0 all is right, 1 something is wrong, 2 wrong use.
"""
import base64, datetime, hashlib, json, os, sys

# Ed25519, RFC 8032, in extended coordinates (x, y, z, t). Signatures are public, so it need not run in constant time.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def add(left, right):
    a = (left[1] - left[0]) * (right[1] - right[0]) % P
    b = (left[1] + left[0]) * (right[1] + right[0]) % P
    c = 2 * left[3] * right[3] * D % P
    d = 2 * left[2] * right[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(number, point):
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = add(total, point)
        point = add(point, point)
        number >>= 1
    return total


def decompress(data):
    """The point of 32 bytes; None when they are none."""
    value = int.from_bytes(data, "little")
    sign, y = value >> 255, value & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signature(key, message, signature):
    point = decompress(key)
    if point is None or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    negative = (P - point[0], point[1], 1, P - point[3])
    x, y, z, _ = add(multiply(s, BASE), multiply(k, negative))
    z = pow(z, P - 2, P)
    x, y = x * z % P, y * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# C2SP signed-note and tlog-checkpoint.
class Wrong(Exception):
    """Something is not as it should be; its text says what."""


def b64(text):
    return base64.b64decode(text, validate=True)


class Key:
    """A verifier key: of a log (type 1), or of a witness (type 4, C2SP tlog-cosignature)."""

    def __init__(self, text, kind=1):
        try:
            self.name, identifier, data = text.strip().split("+", 2)
            raw = b64(data)
            self.identifier, self.key = bytes.fromhex(identifier), raw[1:]
            right = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
            # Sizes of the checkpoints that it may have signed, and the keys before and after it.
            self.low, self.high, self.chain, self.steps = 0, None, [], []
            if raw[0] != kind or len(raw) != 33 or right != self.identifier:
                raise ValueError
        except (ValueError, IndexError):
            raise Wrong("this is no key such as name+01234567+base64: " + text.strip())

    def follow(self, folder):
        """Takes up the keys that this one introduced, or was introduced by, from the log in `folder`."""
        steps, number = [], 1
        while True:
            data = read(os.path.join(folder, "keys", str(number)))
            if data is None:
                break
            text = data.decode().rpartition("\n\n")[0] + "\n"
            lines = text.split("\n")
            if len(lines) != 7:
                raise Wrong("keys/%d is no introduction of a key" % number)
            old, new = Key(lines[4]), Key(lines[5])
            if lines[0] != "cordon-audit-key/1" or lines[1] != self.name or old.name != self.name or new.name != self.name:
                raise Wrong("keys/%d introduces no key of this log" % number)
            signed_text(data.decode(), old)
            signed_text(data.decode(), new)
            steps.append((int(lines[2]), old, new))
            self.steps.append(("keys/%d" % number, int(lines[2]), b64(lines[3])))
            number += 1
        last = first = self
        for size, old, new in steps:
            if old.key == last.key and size >= last.low:
                last.high, new.low = size, size
                self.chain.append(new)
                last = new
        for size, old, new in reversed(steps):
            if new.key == first.key and (first.high is None or size <= first.high):
                first.low, old.high = size, size
                self.chain.append(old)
                first = old
        return self


def signatures(note):
    """The text of a note, and the name and the bytes of each of its signatures."""
    text, split, lines = note.rpartition("\n\n")
    found = []
    for line in lines.splitlines() if split else []:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014":
            raise Wrong("a line of signatures cannot be read")
        try:
            found.append((parts[1], b64(parts[2])))
        except ValueError:
            raise Wrong("the signature of " + parts[1] + " is no base64")
    return text + "\n", found


def signers(note, key):
    """The text of a note, and those of `key` and its chain that signed it."""
    text, made = signatures(note)
    found = []
    for name, data in made:
        for one in [key] + key.chain:
            if name == one.name and data[:4] == one.identifier:
                if not is_signature(one.key, text.encode(), data[4:]):
                    raise Wrong("a signature of " + key.name + " is wrong")
                found.append(one)
    if not found:
        raise Wrong("not signed by " + key.name)
    return text, found


def signed_text(note, key):
    """The text of a note that the holder of `key` signed."""
    return signers(note, key)[0]


def cosigned_at(note, key):
    """When the witness that holds `key` cosigned a checkpoint, in seconds since 1970."""
    text, made = signatures(note)
    latest = None
    for name, data in made:
        if name == key.name and data[:4] == key.identifier:
            seconds = int.from_bytes(data[4:12], "big")
            message = "cosignature/v1\ntime %d\n%s" % (seconds, text)
            if not is_signature(key.key, message.encode(), data[12:]):
                raise Wrong("the cosignature of " + key.name + " is wrong")
            latest = max(latest or 0, seconds)
    if latest is None:
        raise Wrong("not cosigned by " + key.name)
    return latest


def checkpoint(note, key):
    """Size and root of a checkpoint that `key` signed for the log of its name."""
    text, found = signers(note, key)
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != key.name:
        raise Wrong("the checkpoint is of another log than " + key.name)
    size = int(lines[1])
    if not any(one.low <= size and (one.high is None or size <= one.high) for one in found):
        raise Wrong("the checkpoint is signed by a key that was not in use at its size")
    return size, b64(lines[2])


# RFC 6962.
def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(entry):
    return sha256(b"\x00" + entry)


def node(left, right):
    return sha256(b"\x01" + left + right)


def root_by_proof(hash_, index, size, proof):
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise Wrong("the proof is of an entry beyond the checkpoint")
    first, second = index, size - 1
    for sibling in proof:
        if second == 0:
            raise Wrong("the proof is too long")
        if first & 1 or first == second:
            hash_ = node(sibling, hash_)
            while first and not first & 1:
                first, second = first >> 1, second >> 1
        else:
            hash_ = node(hash_, sibling)
        first, second = first >> 1, second >> 1
    if second:
        raise Wrong("the proof is too short")
    return hash_


def check_proof(entry, text, key):
    """Index, size and root of the checkpoint under which `entry` stands in the log (C2SP tlog-proof)."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("index "):
        raise Wrong("this is no proof")
    index = int(lines[1][6:])
    size, root = checkpoint(note, key)
    if root_by_proof(leaf(entry), index, size, [b64(line) for line in lines[2:]]) != root:
        raise Wrong("the proof does not lead to the checkpoint's root")
    return index, size, root


def check_certificate(text, keys):
    """The statement of an erasure certificate, and the checkpoint that it leads to."""
    certificate = json.loads(text)
    if certificate.get("format") != "cordon-erasure-certificate/1":
        raise Wrong("this is no erasure certificate")
    region = certificate["statement"]["region"]
    key = keys.get(region + "/audit")
    if key is None:
        raise Wrong("no key of " + region + " was given")
    signed = signed_text(certificate["note"], key)
    if json.loads(signed) != certificate["statement"]:
        raise Wrong("the statement is another than the one that was signed")
    entry = json.loads(certificate["entry"])
    digest = hashlib.sha256(signed.encode()).hexdigest()
    if entry["kind"] != "erased" or entry["region"] != region or entry["fields"].get("certificate") != digest:
        raise Wrong("the audit entry names another statement")
    index, size, root = check_proof(certificate["entry"].encode(), certificate["proof"], key)
    return certificate["statement"], key, index, size, root


# A whole log (C2SP tlog-tiles).
def path_of(level, index, width):
    groups = ["%03d" % (index % 1000)]
    while index >= 1000:
        index //= 1000
        groups.insert(0, "x%03d" % (index % 1000))
    return "tile/%s/%s" % (level, "/".join(groups)) + ("" if width == 256 else ".p/%d" % width)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


class Log:
    """Recomputes a log's tree from its entries and compares every tile with it."""

    def __init__(self, folder, key, earlier):
        self.folder, self.key, self.findings = folder, key, []
        self.known = set()
        self.roots = {}
        self.wanted = sorted(set(earlier))
        # The last, partial tile of each level.
        self.edge = []
        self.note = (read(os.path.join(folder, "checkpoint")) or b"").decode()
        self.size, self.root = checkpoint(self.note, key)

    def tile(self, level, index, width):
        path = path_of(level, index, width)
        self.known.add(path)
        data = read(os.path.join(self.folder, *path.split("/")))
        if data is None:
            self.findings.append("missing: " + path)
        return path, data

    def compare(self, level, index, hashes):
        path, data = self.tile(level, index, len(hashes))
        if data is not None and data != b"".join(hashes):
            self.findings.append("changed: " + path)

    def run(self):
        for start in range(0, self.size, 256):
            self.bundle(start // 256, min(256, self.size - start))
        for level, hashes in enumerate(self.edge):
            count = self.size >> 8 * level
            if hashes and level:
                self.compare(level, count // 256, hashes)
        root = self.current_root()
        if root != self.root:
            self.findings.append("changed: root, the entries give " + root.hex() + " and the checkpoint says " + self.root.hex())
        for base, _, names in os.walk(os.path.join(self.folder, "tile")):
            for name in names:
                path = os.path.relpath(os.path.join(base, name), self.folder).replace(os.sep, "/")
                if path not in self.known:
                    self.findings.append("inserted: " + path)
        return self.findings

    def bundle(self, index, width):
        first = index * 256
        path, data = self.tile("entries", index, width)
        tile_path, stored = self.tile(0, index, width)
        stored = [] if stored is None else [stored[at:at + 32] for at in range(0, len(stored), 32)]
        hashes, at = [], 0
        data = data or b""
        while at + 2 <= len(data):
            length = int.from_bytes(data[at:at + 2], "big")
            if at + 2 + length > len(data):
                break
            hashes.append(leaf(data[at + 2:at + 2 + length]))
            at += 2 + length
        if at < len(data):
            self.findings.append("changed: %s has bytes that make no entry" % path)
        self.align(first, path, tile_path, hashes, stored)
        for offset in range(width):
            hash_ = hashes[offset] if offset < len(hashes) else stored[offset] if offset < len(stored) else bytes(32)
            self.append(hash_, first + offset)

    def align(self, first, path, tile_path, hashes, stored):
        """Names each entry that differs from the stored hashes."""
        if hashes == stored:
            return
        left, right = 0, 0
        while left < len(stored) or right < len(hashes):
            if left < len(stored) and right < len(hashes) and stored[left] == hashes[right]:
                left, right = left + 1, right + 1
            elif right < len(hashes) and hashes[right] not in stored[left:] and left < len(stored) and stored[left] not in hashes[right:]:
                self.findings.append("changed: entry %d (%s, or its hash in %s)" % (first + left, path, tile_path))
                left, right = left + 1, right + 1
            elif left < len(stored) and stored[left] not in hashes[right:]:
                self.findings.append("missing: entry %d (%s)" % (first + left, path))
                left += 1
            else:
                self.findings.append("inserted: before entry %d (%s)" % (first + left, path))
                right += 1

    def append(self, hash_, place):
        if self.wanted and self.wanted[0] == place:
            self.roots[self.wanted.pop(0)] = self.current_root()
        level = 0
        while True:
            if level == len(self.edge):
                self.edge.append([])
            self.edge[level].append(hash_)
            if len(self.edge[level]) < 256:
                return
            full, self.edge[level] = self.edge[level], []
            if level:
                self.compare(level, place >> 8 * (level + 1), full)
            hash_ = self.perfect(full)
            level += 1

    @staticmethod
    def perfect(hashes):
        while len(hashes) > 1:
            hashes = [node(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    def current_root(self):
        subtrees = []
        for hashes in reversed(self.edge):
            at = 0
            for bit in (128, 64, 32, 16, 8, 4, 2, 1):
                if len(hashes) & bit:
                    subtrees.append(self.perfect(hashes[at:at + bit]))
                    at += bit
        if not subtrees:
            return sha256(b"")
        root = subtrees.pop()
        while subtrees:
            root = node(subtrees.pop(), root)
        return root

    def root_at(self, size):
        return self.root if size == self.size else self.roots.get(size)


# Commands.
def take(words, name):
    """The values of an option, taken out of `words`."""
    values = []
    while name in words:
        at = words.index(name)
        if at + 1 == len(words):
            raise SystemExit(usage())
        values.append(words[at + 1])
        del words[at:at + 2]
    return values


def usage():
    print(__doc__.strip(), file=sys.stderr)
    return 2


def text_of(path):
    data = read(path)
    if data is None:
        raise Wrong("there is no file " + path)
    return data.decode()


def given_keys(texts, kind=1):
    keys = [Key(read(text).decode() if os.path.exists(text) else text, kind) for text in texts]
    return {key.name: key for key in keys}


def entries_of(data):
    """The entries of a bundle."""
    at = 0
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at:at + 2], "big")
        yield data[at + 2:end]
        at = end


def print_entries(region, kind):
    here = os.path.dirname(os.path.abspath(__file__))
    note = text_of(os.path.join(here, "logs", region, "checkpoint"))
    size = int(note.split("\n")[1])
    for start in range(0, size, 256):
        path = path_of("entries", start // 256, min(256, size - start))
        data = read(os.path.join(here, "logs", region, *path.split("/")))
        if data is None:
            raise Wrong("there is no file " + path)
        for offset, entry in enumerate(entries_of(data)):
            if kind is None or json.loads(entry)["kind"] == kind:
                print("%d %s" % (start + offset, entry.decode()))
    return 0


def witnessed(folder, witnesses):
    """What the log keeps of its witnesses: name, checkpoint and what is wrong with it, if anything."""
    found = []
    folder = os.path.join(folder, "witnessed")
    for region in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        found.append((region, text_of(os.path.join(folder, region)), witnesses.get(region + "/witness")))
    return found


def archive(keys, earlier, witnesses):
    here = os.path.dirname(os.path.abspath(__file__))
    if not keys and not witnesses:
        known = json.loads(text_of(os.path.join(here, "archive.json")))["regions"]
        witnesses = given_keys([region["witness_key"] for region in known if region.get("witness_key")], 4)
    wrong = 0
    trusted = bool(keys)
    regions = sorted(os.listdir(os.path.join(here, "logs")))
    if not trusted:
        print("note: keys are taken from this archive; compare them with those that you were given by another way, or pass --key")
    notes = [text_of(path) for path in earlier]
    certificates = []
    for base, _, names in os.walk(os.path.join(here, "certificates")):
        certificates += [os.path.join(base, name) for name in sorted(names) if name.startswith("erasure-")]
    checked = []
    all_keys = {}
    for region in regions:
        if trusted and region + "/audit" not in keys:
            print("%s: NOT CHECKED, no key was given" % region)
            wrong += 1
            continue
        key = keys.get(region + "/audit") or Key(text_of(os.path.join(here, "logs", region, "key.vkey")))
        try:
            all_keys[key.name] = key.follow(os.path.join(here, "logs", region))
        except (Wrong, ValueError, IndexError) as problem:
            print("%s: WRONG, %s" % (region, problem))
            wrong += 1
    for path in certificates:
        name = os.path.relpath(path, here)
        try:
            statement, key, index, size, root = check_certificate(text_of(path), all_keys)
            checked.append((name, key.name, size, root))
        except (Wrong, ValueError, KeyError) as problem:
            print("%s: WRONG, %s" % (name, problem))
            wrong += 1
    for region in regions:
        key = all_keys.get(region + "/audit")
        if key is None:
            continue
        try:
            old = [checkpoint(note, key) for note in notes if note.startswith(key.name + "\n")]
            proofs = [(name, size, root) for name, origin, size, root in checked if origin == key.name]
            folder = os.path.join(here, "logs", region)
            seen = [(name, note, witness) + checkpoint(note, key) for name, note, witness in witnessed(folder, witnesses)]
            log = Log(folder, key, [size for size, _ in old] + [size for _, size, _ in proofs] + [size for _, _, _, size, _ in seen] + [size for _, size, _ in key.steps])
            findings = log.run()
            lines = []
            for name, note, witness, size, root in seen:
                if size > log.size or log.root_at(size) != root:
                    findings.append("witness %s saw other entries" % name)
                elif witness is None:
                    lines.append("witness %s: not checked, no key was given" % name)
                else:
                    time = datetime.datetime.fromtimestamp(cosigned_at(note, witness), datetime.timezone.utc)
                    lines.append("witness %s: saw %d entries at %s" % (name, size, time.strftime("%Y-%m-%dT%H:%M:%SZ")))
            for name, size, root in key.steps:
                if size > log.size or log.root_at(size) != root:
                    findings.append("changed: %s, the log begins otherwise than the older key signed" % name)
            for size, root in old:
                if size > log.size:
                    findings.append("went back: %d entries were signed, there are %d" % (size, log.size))
                elif log.root_at(size) != root:
                    findings.append("rewritten: the first %d entries are others than were signed" % size)
            for name, size, root in proofs:
                if size > log.size or log.root_at(size) != root:
                    findings.append("%s is of another log" % name)
        except (Wrong, ValueError) as problem:
            findings, log, lines = [str(problem)], None, []
        print("%s: %s%s" % (
            region, "NOT SOUND" if findings else "sound",
            "" if log is None else ", %d entries, root %s, %d earlier checkpoints, %d erasure certificates" % (log.size, log.root.hex(), len(old), len(proofs))))
        for line in findings + lines:
            print("  " + line)
        wrong += len(findings)
    sums = text_of(os.path.join(here, "SHA256SUMS")).splitlines()
    named = {"SHA256SUMS"}
    for line in sums:
        digest, name = line.split("  ", 1)
        named.add(name)
        data = read(os.path.join(here, *name.split("/")))
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            print("%s: %s" % (name, "missing" if data is None else "changed"))
            wrong += 1
    for base, folders, names in os.walk(here):
        folders[:] = [folder for folder in folders if folder != "__pycache__"]
        for name in names:
            path = os.path.relpath(os.path.join(base, name), here).replace(os.sep, "/")
            if path not in named:
                print("%s: not part of the archive" % path)
                wrong += 1
    print("%d files by SHA256SUMS" % len(sums))
    return 1 if wrong else 0


def main(words):
    keys, earlier, kept = take(words, "--key"), take(words, "--earlier"), take(words, "--checkpoint")
    witnesses = take(words, "--witness")
    try:
        keys, witnesses = given_keys(keys), given_keys(witnesses, 4)
        if not words and not kept:
            return archive(keys, earlier, witnesses)
        if len(words) in (2, 3) and words[0] == "entries" and not keys and not earlier and not kept:
            return print_entries(words[1], words[2] if len(words) == 3 else None)
        if len(words) == 2 and words[0] == "certificate" and keys and not earlier:
            statement, key, index, size, root = check_certificate(text_of(words[1]), keys)
            for path in kept:
                if checkpoint(text_of(path), key) not in [(size, root)]:
                    other = checkpoint(text_of(path), key)
                    if other[0] == size:
                        raise Wrong("your checkpoint has the same size and another root: there are two logs")
                    print("note: your checkpoint is of %d entries, the certificate's of %d: only the log itself shows that they agree" % (other[0], size))
            print("right: %s stated at %s that a person was erased" % (statement["region"], statement["verified_at"]))
            print("entry %d of %d, %d rows, %d files before, %d after, %d traces in %d files read" % (
                index, size, statement["counts"]["rows"], len(statement["files_before"]), len(statement["files_after"]),
                statement["absence"]["traces"], statement["absence"]["files"]))
            return 0
        if len(words) == 3 and words[0] == "proof" and len(keys) == 1 and not earlier and not kept:
            index, size, root = check_proof(read(words[1]) or b"", text_of(words[2]), list(keys.values())[0])
            print("right: entry %d of %d under root %s" % (index, size, root.hex()))
            return 0
    except (Wrong, ValueError, KeyError) as problem:
        print("wrong: %s" % problem)
        return 1
    return usage()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
