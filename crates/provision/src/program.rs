//! Which program a manager is given: one that was built for its processor and that its C library can
//! start. The released ones are static, and start anywhere on their processor.
//!
//! What a program asks for stands in its ELF headers: `e_machine`, `PT_INTERP` and the symbol versions
//! that it needs (elf(5); the versions after the Linux Standard Base, "Symbol Versioning").

use matou_i18n::tr;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::facts::NodeFacts;
use crate::ProvisionError;
use matou_config::ProvisionConfig;

/// The running program.
const OWN: &str = "/proc/self/exe";

/// Where packages put the programs for other processors.
const PACKAGED: &str = "/usr/lib/matou";

/// More than any program has, tests' builds included.
const MAX_PROGRAM_BYTES: u64 = 1 << 30;

/// A version of the GNU C library: 2.36 is `(2, 36)`.
type GlibcVersion = (u32, u32);

/// What a program needs of the node beside the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Linkage {
    /// Nothing.
    Static,
    /// The GNU C library of this version or newer.
    Glibc(GlibcVersion),
    /// Another loader, by its path.
    Other(String),
}

/// A program that a manager could be given.
#[derive(Debug, Clone)]
pub(super) struct ManagerProgram {
    /// Where it lies on this machine.
    pub(super) path: PathBuf,
    /// SHA-256 of the whole, hexadecimal.
    pub(super) sha256: String,
    /// As `uname -m` names it.
    architecture: &'static str,
    linkage: Linkage,
}

impl ManagerProgram {
    fn read(path: &Path) -> Result<Self, ProvisionError> {
        let bytes = read_bounded(path)?;
        let (architecture, linkage) =
            read_headers(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self {
            path: path.to_path_buf(),
            sha256: matou_base::text::sha256_hex(&bytes),
            architecture,
            linkage,
        })
    }

    /// Returns why a node can't start it, as far as headers and facts tell.
    fn obstacle(&self, facts: &NodeFacts) -> Option<String> {
        let (name, there) = (self.path.display(), facts.architecture());
        let name = match self.path == Path::new(OWN) {
            true => tr!("this program").to_owned(),
            false => name.to_string(),
        };
        if self.architecture != there {
            return Some(tr!("{name} is for {}, not {there}", self.architecture));
        }
        let has = facts.output("libc");
        match &self.linkage {
            Linkage::Static => None,
            Linkage::Glibc(needed) => match has.strip_prefix("glibc ").and_then(parse_glibc) {
                Some(version) if version < *needed => Some(tr!(
                    "{name} needs glibc {}.{} or newer, the node has {}.{}",
                    needed.0,
                    needed.1,
                    version.0,
                    version.1
                )),
                // One that does not tell is found out when the program is tried there.
                _ => None,
            },
            Linkage::Other(loader) => Some(tr!("{name} needs {loader}")),
        }
    }
}

impl fmt::Display for ManagerProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path == Path::new(OWN) {
            true => f.write_str(tr!("this one")),
            false => write!(f, "{}", self.path.display()),
        }
    }
}

/// Returns the program for a node: the one of `[provision] programs` when that is set, else the running
/// one, else `matou-ARCHITECTURE` beside it or in [`PACKAGED`].
///
/// # Errors
/// When a program can't be read, or none can start there: why, and what to do about it.
pub(super) fn choose_program(
    config: &ProvisionConfig,
    facts: &NodeFacts,
) -> Result<Arc<ManagerProgram>, ProvisionError> {
    let name = format!("matou-{}", facts.architecture());
    let mut obstacles = Vec::new();
    let mut places = Vec::new();
    match &config.programs {
        Some(folder) => places.push(folder.join(&name)),
        None => {
            let own = own_program()?;
            match own.obstacle(facts) {
                None => return Ok(own),
                Some(obstacle) => obstacles.push(obstacle),
            }
            let exe = std::env::current_exe().ok();
            let beside = exe.as_deref().and_then(Path::parent);
            places.extend(beside.map(|f| f.join(&name)));
            places.push(Path::new(PACKAGED).join(&name));
        }
    }
    for place in places {
        if !place.exists() {
            obstacles.push(tr!("there is no {}", place.display()));
            continue;
        }
        let program = ManagerProgram::read(&place)?;
        match program.obstacle(facts) {
            None => return Ok(Arc::new(program)),
            Some(obstacle) => obstacles.push(obstacle),
        }
    }
    Err(ProvisionError::failed(tr!(
        "{}; put the static program of the release for {} there as {name}, or name its folder in `programs` of [provision]",
        obstacles.join("; "),
        facts.architecture()
    )))
}

/// The running program, which is read once.
fn own_program() -> Result<Arc<ManagerProgram>, ProvisionError> {
    static OWN_PROGRAM: OnceLock<Arc<ManagerProgram>> = OnceLock::new();
    if let Some(known) = OWN_PROGRAM.get() {
        return Ok(known.clone());
    }
    let program = ManagerProgram::read(Path::new(OWN))?;
    Ok(OWN_PROGRAM.get_or_init(|| Arc::new(program)).clone())
}

/// Reads a program.
///
/// # Errors
/// When it can't be read, is no file or has more than [`MAX_PROGRAM_BYTES`].
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, ProvisionError> {
    let refused = |e: &dyn fmt::Display| {
        ProvisionError::failed(tr!("the program {} can't be read: {e}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|e| refused(&e))?;
    if !file.metadata().map_err(|e| refused(&e))?.is_file() {
        return Err(refused(&tr!("it is no file")));
    }
    let mut bytes = Vec::new();
    let mut bounded = file.take(MAX_PROGRAM_BYTES + 1);
    bounded.read_to_end(&mut bytes).map_err(|e| refused(&e))?;
    match bytes.len() as u64 > MAX_PROGRAM_BYTES {
        true => Err(refused(&tr!("it is larger than 1 GiB"))),
        false => Ok(bytes),
    }
}

/// Parses `2.36`, also of a symbol's version `GLIBC_2.2.5`, of which the first two numbers count.
fn parse_glibc(text: &str) -> Option<GlibcVersion> {
    let mut numbers = text.trim().split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// Reads the processor and the linkage out of a program's headers.
fn read_headers(bytes: &[u8]) -> Result<(&'static str, Linkage), ProvisionError> {
    let broken = |e: object::read::Error| tr!("is no program for 64-bit Linux: {e}");
    let header = FileHeader64::<object::Endianness>::parse(bytes).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    let architecture = match header.e_machine(endian) {
        EM_X86_64 => "x86_64",
        EM_AARCH64 => "aarch64",
        other => {
            return Err(ProvisionError::failed(tr!(
                "is for a processor that matou is not built for (ELF machine {})",
                other.0
            )));
        }
    };
    let segments = header.program_headers(endian, bytes).map_err(broken)?;
    let mut loader = None;
    for segment in segments {
        loader = loader.or(segment.interpreter(endian, bytes).map_err(broken)?);
    }
    let Some(loader) = loader else {
        return Ok((architecture, Linkage::Static));
    };
    let loader = String::from_utf8_lossy(loader);
    if !loader
        .rsplit('/')
        .next()
        .unwrap_or("")
        .starts_with("ld-linux")
    {
        let loader = matou_base::text::clean_line(&loader).into_owned();
        return Ok((architecture, Linkage::Other(loader)));
    }
    let mut needed = (2, 0);
    let sections = header.sections(endian, bytes).map_err(broken)?;
    if let Some((mut files, link)) = sections.gnu_verneed(endian, bytes).map_err(broken)? {
        let names = sections.strings(endian, bytes, link).map_err(broken)?;
        while let Some((_, mut versions)) = files.next().map_err(broken)? {
            while let Some(version) = versions.next().map_err(broken)? {
                let name = version.name(endian, names).map_err(broken)?;
                let name = String::from_utf8_lossy(name);
                let version = name.strip_prefix("GLIBC_").and_then(parse_glibc);
                needed = version.map_or(needed, |v| needed.max(v));
            }
        }
    }
    Ok((architecture, Linkage::Glibc(needed)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;

    /// A server that tells its processor and its C library.
    fn server(architecture: &str, libc: &str) -> NodeFacts {
        let kernel = format!("Linux 6.1.0 {architecture}");
        NodeFacts::of(&[("kernel", &kernel), ("libc", libc)])
    }

    /// This test's own program, with some of its bytes replaced everywhere.
    fn changed_copy(to: &Path, old: &[u8], new: &[u8]) {
        let mut bytes = std::fs::read(OWN).unwrap();
        let mut changed = 0;
        for at in 0..bytes.len() - old.len() {
            if bytes[at..].starts_with(old) {
                bytes[at..at + old.len()].copy_from_slice(new);
                changed += 1;
            }
        }
        assert!(changed > 0);
        std::fs::write(to, bytes).unwrap();
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(to, all).unwrap();
    }

    fn refusal(folder: &Path, facts: &NodeFacts) -> String {
        let config = config(&format!("[provision]\nprograms = \"{}\"", folder.display()));
        let refused = choose_program(&config.provision, facts).unwrap_err();
        refused
            .to_string()
            .replace(&folder.display().to_string(), "DIR")
    }

    #[test]
    fn a_node_is_given_what_it_can_start() {
        let arch = std::env::consts::ARCH;
        let none = config("");
        let own = choose_program(&none.provision, &server(arch, "glibc 2.99")).unwrap();
        assert_eq!(own.to_string(), "this one");
        let Linkage::Glibc(needed) = own.linkage.clone() else {
            return;
        };
        assert!(needed >= (2, 17), "{needed:?}");
        // It may start where nobody says what there is: it is tried.
        assert!(choose_program(&none.provision, &server(arch, "")).is_ok());
        let old = choose_program(&none.provision, &server(arch, "glibc 2.5")).unwrap_err();
        let said = format!(
            "this program needs glibc {}.{} or newer, the node has 2.5; there is no ",
            needed.0, needed.1
        );
        assert!(old.to_string().starts_with(&said), "{old}");
        let other = choose_program(&none.provision, &server("riscv64", "glibc 2.41")).unwrap_err();
        let said = format!("this program is for {arch}, not riscv64; there is no ");
        assert!(other.to_string().starts_with(&said), "{other}");
        assert!(
            other
                .to_string()
                .ends_with("as matou-riscv64, or name its folder in `programs` of [provision]"),
            "{other}"
        );
    }

    #[test]
    fn programs_of_the_folder_are_judged_by_their_headers() {
        let dir = tempfile::tempdir().unwrap();
        let arch = std::env::consts::ARCH;
        let place = dir.path().join(format!("matou-{arch}"));
        let facts = server(arch, "glibc 2.36");
        let end = format!(
            "; put the static program of the release for {arch} there as matou-{arch}, or name its folder in `programs` of [provision]"
        );
        assert_eq!(
            refusal(dir.path(), &facts),
            format!("there is no DIR/matou-{arch}{end}")
        );

        std::fs::write(&place, "#!/bin/sh\necho matou\n").unwrap();
        assert!(
            refusal(dir.path(), &facts).starts_with(&format!(
                "DIR/matou-{arch}: is no program for 64-bit Linux: "
            )),
            "{}",
            refusal(dir.path(), &facts)
        );

        if let Linkage::Glibc((2, minor)) = own_program().unwrap().linkage
            && minor >= 10
        {
            let old = format!("GLIBC_2.{minor}\0");
            changed_copy(&place, old.as_bytes(), b"GLIBC_2.99\0");
            assert_eq!(
                refusal(dir.path(), &facts),
                format!("DIR/matou-{arch} needs glibc 2.99 or newer, the node has 2.36{end}")
            );
        }

        // The machine of an ELF header (elf(5)): here another one.
        let mut bytes = std::fs::read(OWN).unwrap();
        let (machine, name) = match arch {
            "x86_64" => (183_u16, "aarch64"),
            _ => (62, "x86_64"),
        };
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        std::fs::write(&place, bytes).unwrap();
        assert_eq!(
            refusal(dir.path(), &facts),
            format!("DIR/matou-{arch} is for {name}, not {arch}{end}")
        );
    }

    /// Runs the script that installs, in the real shell.
    fn install(program: &Path, to: &Path, version: &str) -> (bool, String) {
        let hash = matou_base::text::sha256_hex(std::fs::read(program).unwrap());
        let out = std::process::Command::new("sh")
            .args(["-c", super::super::matou::INSTALL, "sh"])
            .arg(to)
            .arg(hash)
            .arg(to.with_file_name("hash"))
            .arg(version)
            .stdin(std::fs::File::open(program).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.success(), said)
    }

    #[test]
    fn what_can_not_start_takes_nobodys_place() {
        let dir = tempfile::tempdir().unwrap();
        let (new, to) = (dir.path().join("program"), dir.path().join("matou"));
        let script = |version: &str| {
            std::fs::write(&new, format!("#!/bin/sh\necho matou {version} of today\n")).unwrap();
        };
        let is = || std::fs::read_to_string(&to).unwrap();
        script("1.2.3");
        assert_eq!(install(&new, &to, "1.2.3"), (true, String::new()));
        let first = is();

        script("1.2.30");
        let (installed, said) = install(&new, &to, "1.2.3");
        assert!(
            !installed && said.contains("it says \"matou 1.2.30 of today\""),
            "{said}"
        );
        std::fs::write(&new, "#!/nowhere/sh\n").unwrap();
        let (installed, said) = install(&new, &to, "1.2.3");
        assert!(!installed && said.contains("it can't start here"), "{said}");
        // What the loader says of a library that is too old.
        if let Linkage::Glibc((2, minor)) = own_program().unwrap().linkage
            && minor >= 10
        {
            let old = format!("GLIBC_2.{minor}\0");
            changed_copy(&new, old.as_bytes(), b"GLIBC_2.99\0");
            let (installed, said) = install(&new, &to, "1.2.3");
            assert!(
                !installed && said.contains("`GLIBC_2.99' not found"),
                "{said}"
            );
        }
        assert_eq!(is(), first);
        let names = dir.path().read_dir().unwrap().count();
        assert_eq!(names, 3, "the program, the one that is installed, its hash");

        script("1.2.4");
        assert_eq!(install(&new, &to, "1.2.4"), (true, String::new()));
        assert_ne!(is(), first);
    }
}
