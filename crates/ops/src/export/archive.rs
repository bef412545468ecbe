//! The archive of an export, written while it arrives: a part of a file at a time is in memory, each
//! file's checksum is taken on the way, and the archive gets its name when it is whole.

use matou_i18n::tr;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::OpsError;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

/// Name of the list of checksums, the last file of the archive.
pub(super) const CHECKSUM_FILE: &str = "SHA256SUMS";

/// A part of what a node sends.
pub(super) enum ArchiveChunk {
    Bytes(Vec<u8>),
    /// The end of the data. Without it, the data was cut off.
    End,
}

/// What goes into the archive, in its order. Paths are those below the archive's folder.
pub(super) enum ArchivePiece {
    Folder {
        path: String,
        mode: u32,
        owner: (u64, u64),
    },
    File {
        path: String,
        mode: u32,
        content: Vec<u8>,
    },
    /// A file whose size is known before. It gets the owner and mode of the file of that path that
    /// an earlier tree left out, if there was one.
    Large {
        path: String,
        size: u64,
        data: mpsc::Receiver<ArchiveChunk>,
    },
    /// A folder as `tar` of its node sends it.
    Tree {
        path: String,
        /// What the paths in it begin with.
        strip: String,
        /// Files that are left out, below the folder.
        skip: Vec<String>,
        data: mpsc::Receiver<ArchiveChunk>,
    },
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ArchiveSummary {
    pub files: u64,
    /// Devices and sockets, which another host has no use for.
    pub left_out: u64,
}

/// Writes the archive `target`, whose one folder is `root`. `arriving` must end with `None`.
///
/// # Errors
/// One sentence; nothing of that name is there then.
pub(super) fn write_archive(
    target: &Path,
    root: &str,
    mut arriving: mpsc::Receiver<Option<ArchivePiece>>,
    done: &Arc<AtomicU64>,
) -> Result<ArchiveSummary, OpsError> {
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let told = |e: io::Error| tr!("{} can't be written: {e}", target.display());
    // Of mode 0600, and gone when anything fails.
    let file = tempfile::Builder::new()
        .prefix(&format!(".{root}."))
        .suffix(".part")
        .tempfile_in(folder)
        .map_err(told)?;
    let mut archive = ArchiveWriter {
        tar: Builder::new(BufWriter::with_capacity(1 << 20, file)),
        root: root.to_owned(),
        sums: BufWriter::new(tempfile::tempfile().map_err(told)?),
        owners: HashMap::new(),
        done: done.clone(),
        written: ArchiveSummary::default(),
    };
    archive.add_folder("", 0o755, (0, 0)).map_err(told)?;
    loop {
        match arriving.blocking_recv() {
            Some(Some(piece)) => archive.add_piece(piece).map_err(told)?,
            Some(None) => break,
            None => return Err(tr!("the export was cut off: nothing was written").into()),
        }
    }
    let (file, written) = archive.finish().map_err(told)?;
    file.persist_noclobber(target).map_err(|e| told(e.error))?;
    Ok(written)
}

struct ArchiveWriter<W: Write> {
    tar: Builder<W>,
    root: String,
    /// Lines of [`CHECKSUM_FILE`].
    sums: BufWriter<std::fs::File>,
    /// Owner, group and mode of files that were left out, by their path.
    owners: HashMap<PathBuf, (u64, u64, u32)>,
    done: Arc<AtomicU64>,
    written: ArchiveSummary,
}

impl ArchiveWriter<BufWriter<tempfile::NamedTempFile>> {
    /// Adds the checksums, and brings everything to the disk.
    fn finish(mut self) -> io::Result<(tempfile::NamedTempFile, ArchiveSummary)> {
        let mut sums = self.sums.into_inner().map_err(|e| e.into_error())?;
        let size = sums.stream_position()?;
        sums.rewind()?;
        let mut header = tar_header(EntryType::Regular, 0o644, (0, 0), size);
        let path = Path::new(&self.root).join(CHECKSUM_FILE);
        self.tar
            .append_data(&mut header, path, ExactReader::new(sums, size))?;
        let file = self.tar.into_inner()?.into_inner();
        let file = file.map_err(|e| e.into_error())?;
        file.as_file().sync_all()?;
        Ok((file, self.written))
    }
}

impl<W: Write> ArchiveWriter<W> {
    fn add_piece(&mut self, piece: ArchivePiece) -> io::Result<()> {
        match piece {
            ArchivePiece::Folder { path, mode, owner } => self.add_folder(&path, mode, owner),
            ArchivePiece::File {
                path,
                mode,
                content,
            } => {
                let size = content.len() as u64;
                let header = tar_header(EntryType::Regular, mode, (0, 0), size);
                self.add_file(Path::new(&path), header, content.as_slice())
            }
            ArchivePiece::Large { path, size, data } => {
                let (uid, gid, mode) = match self.owners.get(Path::new(&path)) {
                    Some(owner) => *owner,
                    None => (0, 0, 0o600),
                };
                let header = tar_header(EntryType::Regular, mode, (uid, gid), size);
                self.add_file(Path::new(&path), header, ChunkReader::new(data))
            }
            ArchivePiece::Tree {
                path,
                strip,
                skip,
                data,
            } => self.add_tree(&path, &strip, &skip, data),
        }
    }

    fn add_folder(&mut self, path: &str, mode: u32, owner: (u64, u64)) -> io::Result<()> {
        let mut header = tar_header(EntryType::Directory, mode, owner, 0);
        let path = Path::new(&self.root).join(path);
        self.tar.append_data(&mut header, path, io::empty())
    }

    fn add_file(&mut self, path: &Path, mut header: Header, data: impl Read) -> io::Result<()> {
        let mut hashing = HashingReader {
            inner: ExactReader::new(data, header.size()?),
            hash: Sha256::new(),
            done: &self.done,
        };
        let full = Path::new(&self.root).join(path);
        self.tar.append_data(&mut header, full, &mut hashing)?;
        // Only another read shows whether more comes than was announced.
        hashing.inner.expect_end()?;
        let digest = hashing.hash.finalize();
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        self.written.files += 1;
        write_checksum_line(&mut self.sums, &hex, path)
    }

    fn add_tree(
        &mut self,
        to: &str,
        strip: &str,
        skip: &[String],
        data: mpsc::Receiver<ArchiveChunk>,
    ) -> io::Result<()> {
        let mut source = tar::Archive::new(ChunkReader::new(data));
        for entry in source.entries()? {
            let entry = entry?;
            let Some(rest) = strip_folder(&entry.path()?, strip)? else {
                continue;
            };
            let path = Path::new(to).join(&rest);
            let old = entry.header();
            let kind = old.entry_type();
            let (uid, gid, mode) = (old.uid()?, old.gid()?, old.mode()? & 0o7777);
            let size = match kind {
                EntryType::Regular | EntryType::GNUSparse | EntryType::Continuous => entry.size(),
                _ => 0,
            };
            let mut new = tar_header(kind, mode, (uid, gid), size);
            new.set_mtime(old.mtime()?);
            if skip.iter().any(|s| Path::new(s) == rest) {
                if kind.is_file() {
                    self.owners.insert(path, (uid, gid, mode));
                }
                continue;
            }
            let full = Path::new(&self.root).join(&path);
            match kind {
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    new.set_entry_type(EntryType::Regular);
                    new.set_cksum();
                    self.add_file(&path, new, entry)?;
                }
                EntryType::Directory | EntryType::Fifo => {
                    self.tar.append_data(&mut new, full, io::empty())?;
                }
                EntryType::Symlink | EntryType::Link => {
                    let target = entry
                        .link_name()?
                        .ok_or_else(|| io::Error::other(tr!("a link without a target arrived")))?;
                    let target = match kind {
                        // A second name of a file in the archive.
                        EntryType::Link => match strip_folder(&target, strip)? {
                            Some(rest) => Path::new(&self.root).join(to).join(rest),
                            None => continue,
                        },
                        _ => target.into_owned(),
                    };
                    self.tar.append_link(&mut new, full, target)?;
                }
                _ => self.written.left_out += 1,
            }
        }
        // Behind the end of the archive come padding and the mark that the data was whole.
        let mut rest = source.into_inner();
        io::copy(&mut rest, &mut io::sink())?;
        Ok(())
    }
}

fn tar_header(kind: EntryType, mode: u32, (uid, gid): (u64, u64), size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_size(size);
    let now = jiff::Timestamp::now().as_second();
    header.set_mtime(u64::try_from(now).unwrap_or_default());
    header.set_cksum();
    header
}

/// Returns the part of a path below `strip`; `None` for a path that is not below it.
fn strip_folder(path: &Path, strip: &str) -> io::Result<Option<PathBuf>> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir | Component::RootDir => {}
            _ => {
                return Err(io::Error::other(tr!(
                    "a path that leads out of its folder arrived"
                )));
            }
        }
    }
    let strip = strip.trim_matches('/');
    Ok(plain.strip_prefix(strip).ok().map(Path::to_owned))
}

/// Writes a line as `sha256sum` does: a name with a line break in it is escaped, and a backslash at
/// the beginning of the line says so.
fn write_checksum_line(out: &mut impl Write, hex: &str, path: &Path) -> io::Result<()> {
    let name = path.as_os_str().as_bytes();
    let odd = name.iter().any(|b| matches!(b, b'\n' | b'\r' | b'\\'));
    let mut line = if odd { vec![b'\\'] } else { Vec::new() };
    line.extend(hex.bytes().chain(*b"  "));
    for byte in name {
        match byte {
            b'\n' => line.extend(*b"\\n"),
            b'\r' => line.extend(*b"\\r"),
            b'\\' => line.extend(*b"\\\\"),
            other => line.push(*other),
        }
    }
    line.push(b'\n');
    out.write_all(&line)
}

/// Reads bytes that arrive in chunks. Data that stops without [`ArchiveChunk::End`] is an error.
struct ChunkReader {
    data: mpsc::Receiver<ArchiveChunk>,
    now: Vec<u8>,
    at: usize,
    ended: bool,
}

impl ChunkReader {
    fn new(data: mpsc::Receiver<ArchiveChunk>) -> Self {
        Self {
            data,
            now: Vec::new(),
            at: 0,
            ended: false,
        }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.now.len() {
            if self.ended {
                return Ok(0);
            }
            match self.data.blocking_recv() {
                Some(ArchiveChunk::Bytes(bytes)) => (self.now, self.at) = (bytes, 0),
                Some(ArchiveChunk::End) => self.ended = true,
                None => {
                    return Err(io::Error::other(tr!(
                        "what was read of the node was cut off"
                    )));
                }
            }
        }
        let n = buffer.len().min(self.now.len() - self.at);
        buffer[..n].copy_from_slice(&self.now[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Reads exactly as many bytes as were announced. Fewer or more are errors.
struct ExactReader<R> {
    inner: R,
    left: u64,
}

impl<R: Read> ExactReader<R> {
    fn new(inner: R, left: u64) -> Self {
        Self { inner, left }
    }

    fn expect_end(&mut self) -> io::Result<()> {
        match self.inner.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::other(tr!("a file is larger than was told"))),
        }
    }
}

impl<R: Read> Read for ExactReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        match self.inner.read(&mut buffer[..most])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}

struct HashingReader<'a, R> {
    inner: R,
    hash: Sha256,
    done: &'a AtomicU64,
}

impl<R: Read> Read for HashingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.done.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The files of a small archive: path and content.
///
/// # Errors
/// When it is no archive.
pub(super) fn read_small_archive(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.into_owned().into_os_string().into_vec();
        let name = OsStr::from_bytes(&path).to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.push((name, content));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Sends bytes in pieces, with or without the word that they are whole.
    fn sent(bytes: Vec<u8>, whole: bool) -> mpsc::Receiver<ArchiveChunk> {
        let (out, data) = mpsc::channel(1 << 12);
        for part in bytes.chunks(700) {
            out.blocking_send(ArchiveChunk::Bytes(part.to_vec()))
                .unwrap();
        }
        if whole {
            out.blocking_send(ArchiveChunk::End).unwrap();
        }
        data
    }

    fn made(dir: &Path, pieces: Vec<Option<ArchivePiece>>) -> Result<ArchiveSummary, OpsError> {
        let (out, arriving) = mpsc::channel(64);
        for piece in pieces {
            assert!(out.blocking_send(piece).is_ok());
        }
        drop(out);
        let done = Arc::new(AtomicU64::new(0));
        write_archive(&dir.join("x.tar"), "shop", arriving, &done)
    }

    fn sh(dir: &Path, line: &str) -> String {
        let out = Command::new("sh")
            .args(["-ec", line])
            .current_dir(dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{line}: {said}");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn tree(dir: &Path, skip: &[&str]) -> ArchivePiece {
        sh(
            dir,
            "mkdir -p v/sub; printf abc >v/a; ln v/a v/b; ln -s /etc/passwd v/l; printf x >'v/sub/odd
name'; : >v/e; mkfifo v/f; chmod 640 v/a; printf old >v/my.db; printf w >v/my.db-wal
             i=0; while [ $i -lt 12 ]; do d=v/$(printf '%060d' $i)/$(printf '%090d' $i); mkdir -p $d; echo $i >$d/f; i=$((i+1)); done
             tar -c -f t.tar --numeric-owner -C v .",
        );
        ArchivePiece::Tree {
            path: "volumes/shop_files".into(),
            strip: String::new(),
            skip: skip.iter().map(|s| (*s).to_owned()).collect(),
            data: sent(std::fs::read(dir.join("t.tar")).unwrap(), true),
        }
    }

    #[test]
    fn what_arrives_is_whole_and_every_checksum_fits() {
        let dir = tempfile::tempdir().unwrap();
        let pieces = vec![
            Some(tree(dir.path(), &["my.db", "my.db-wal"])),
            Some(ArchivePiece::Large {
                path: "volumes/shop_files/my.db".into(),
                size: 3,
                data: sent(b"new".to_vec(), true),
            }),
            Some(ArchivePiece::File {
                path: "README.md".into(),
                mode: 0o644,
                content: b"read\n".to_vec(),
            }),
            None,
        ];
        let written = made(dir.path(), pieces).unwrap();
        let mode = "stat -c %a x.tar; tar -x -f x.tar; cd shop; sha256sum --strict -c SHA256SUMS | grep -c OK";
        assert_eq!(sh(dir.path(), mode), format!("600\n{}", written.files));
        assert_eq!(
            sh(
                dir.path(),
                "cd shop/volumes/shop_files; cat my.db; ls my.db-wal 2>/dev/null || :; [ a -ef b ]; readlink l; [ -p f ]; stat -c %a a; cat sub/odd*"
            ),
            "new/etc/passwd\n640\nx"
        );
        let deep = "find v -name f -type f | wc -l; find shop/volumes -name f -type f | wc -l";
        assert_eq!(sh(dir.path(), deep), "12\n12");
        let list = std::fs::read(dir.path().join("x.tar")).unwrap();
        let all = read_small_archive(&list).unwrap();
        assert_eq!(all.last().unwrap().0, "shop/SHA256SUMS");
    }

    #[test]
    fn what_is_cut_off_leaves_nothing_that_looks_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cut = |size, bytes: &[u8], whole| ArchivePiece::Large {
            path: "dumps/x".into(),
            size,
            data: sent(bytes.to_vec(), whole),
        };
        let ArchivePiece::Tree { .. } = tree(dir.path(), &[]) else {
            unreachable!()
        };
        let half = std::fs::read(dir.path().join("t.tar")).unwrap();
        let half = ArchivePiece::Tree {
            path: "volumes/v".into(),
            strip: String::new(),
            skip: Vec::new(),
            data: sent(half[..half.len() / 2].to_vec(), false),
        };
        let cases = vec![
            vec![Some(cut(9, b"short", true)), None],
            vec![Some(cut(2, b"long", true)), None],
            vec![Some(cut(5, b"lost!", false)), None],
            vec![Some(half), None],
            vec![],
        ];
        for pieces in cases {
            assert!(made(dir.path(), pieces).is_err());
            let left = sh(dir.path(), "ls -A");
            assert!(!left.contains("x.tar") && !left.contains(".part"), "{left}");
        }
        std::fs::write(dir.path().join("x.tar"), "mine").unwrap();
        assert!(made(dir.path(), vec![None]).is_err());
        assert_eq!(sh(dir.path(), "cat x.tar"), "mine");
    }

    #[test]
    fn no_path_leads_out_of_its_folder() {
        let of = |path: &str, strip: &str| strip_folder(Path::new(path), strip);
        assert_eq!(of("./a/b", "").unwrap().unwrap(), Path::new("a/b"));
        assert_eq!(
            of("mnt/data/v/a", "/mnt/data/v").unwrap().unwrap(),
            Path::new("a")
        );
        assert_eq!(of("etc/passwd", "/mnt/data/v").unwrap(), None);
        assert!(of("../x", "").is_err() && of("a/../../x", "").is_err());
    }
}
