//! The file of operators: names, roles and the hashes of their passphrases (argon2id). It belongs to one user of the
//! system and is read by nobody else. A change holds at once, also for those who are signed in.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use parking_lot::Mutex;
use rand::TryRngCore;
use serde::{Deserialize, Serialize};

use crate::Role;

/// As the log keeps it.
pub const NAME_BYTES_MAX: usize = 32;
pub const PASSPHRASE_BYTES_MIN: usize = 12;
pub const PASSPHRASE_BYTES_MAX: usize = 128;
const FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the file of operators {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the file of operators {path} may be read by others: chmod 600 {path}")]
    Exposed { path: PathBuf },
    #[error("the file of operators {path} cannot be read: {what}")]
    Form { path: PathBuf, what: String },
    #[error("{0}")]
    Wrong(String),
}

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    pub name: String,
    pub roles: Vec<Role>,
    /// The hash, with its salt and costs (PHC string).
    passphrase: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    operators: Vec<Operator>,
}

/// A passphrase that nobody thought of: 100 bits, letters and digits that are not taken for one another.
pub fn generate() -> Result<String, Error> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut bytes = [0; 20];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|error| Error::Wrong(error.to_string()))?;
    let letters: Vec<u8> = bytes.iter().map(|byte| LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<_> = letters.chunks(5).map(String::from_utf8_lossy).collect();
    Ok(groups.join("-"))
}

/// All operators of a file; none when there is no file yet.
pub fn read(path: &Path) -> Result<Vec<Operator>, Error> {
    let failed = |source| Error::File { path: path.into(), source };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::Exposed { path: path.into() });
    }
    let wrong = |what: String| Error::Form { path: path.into(), what };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(wrong(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let listed: Listed = toml::from_str(&text).map_err(|error| wrong(error.message().to_string()))?;
    Ok(listed.operators)
}

fn write(path: &Path, operators: Vec<Operator>) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.into(), source };
    let text = toml::to_string(&Listed { operators }).map_err(|error| Error::Wrong(error.to_string()))?;
    let directory = path.parent().filter(|own| !own.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    let owner_alone = std::fs::Permissions::from_mode(0o600);
    file.as_file().set_permissions(owner_alone).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

impl Operator {
    pub fn new(name: &str, roles: &[Role], passphrase: &str) -> Result<Operator, Error> {
        if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&passphrase.len()) {
            let what = format!("a passphrase has {PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX} bytes");
            return Err(Error::Wrong(what));
        }
        let salt = SaltString::generate(&mut OsRng);
        let hash = Argon2::default().hash_password(passphrase.as_bytes(), &salt);
        let passphrase = hash.map_err(|error| Error::Wrong(error.to_string()))?.to_string();
        let mut roles = roles.to_vec();
        roles.sort_unstable();
        roles.dedup();
        let operator = Operator { name: name.into(), roles, passphrase };
        operator.check()?;
        Ok(operator)
    }

    /// Also of one that came from elsewhere.
    fn check(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        if self.roles.is_empty() {
            return Err(Error::Wrong("an operator has at least one role".into()));
        }
        PasswordHash::new(&self.passphrase).map(drop).map_err(|error| Error::Wrong(format!("the hash: {error}")))
    }
}

/// Adds one, or gives one who is there other roles and a new passphrase.
pub fn set(path: &Path, operator: Operator) -> Result<(), Error> {
    operator.check()?;
    let mut operators = read(path)?;
    operators.retain(|own| own.name != operator.name);
    operators.push(operator);
    operators.sort_by(|one, other| one.name.cmp(&other.name));
    write(path, operators)
}

/// Whether there was one of this name.
pub fn remove(path: &Path, name: &str) -> Result<bool, Error> {
    let mut operators = read(path)?;
    let before = operators.len();
    operators.retain(|own| own.name != name);
    let is_removed = operators.len() < before;
    if is_removed {
        write(path, operators)?;
    }
    Ok(is_removed)
}

fn check_name(name: &str) -> Result<(), Error> {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(letters) {
        let what = format!("{name:?} is no name: 1 to {NAME_BYTES_MAX} small letters, digits, hyphens and dots");
        return Err(Error::Wrong(what));
    }
    Ok(())
}

#[cfg(test)]
impl Operator {
    pub(crate) fn with_hash(name: &str, hash: &str) -> Operator {
        Operator { name: name.into(), roles: vec![Role::Viewer], passphrase: hash.into() }
    }
}

/// The file as the console looks at it: read again whenever it has changed.
pub(crate) struct Operators {
    path: PathBuf,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    /// What told the file from its other versions.
    version: Option<(SystemTime, u64, u64)>,
    operators: Vec<Operator>,
}

impl Operators {
    pub(crate) fn new(path: PathBuf) -> Operators {
        Operators { path, read: Mutex::default() }
    }

    /// Whether there is a file, so that people sign in.
    pub(crate) fn are_named(&self) -> bool {
        !matches!(std::fs::metadata(&self.path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
    }

    /// The operator of this name. Nobody, while the file cannot be read; why not is in the log, once for each version.
    pub(crate) fn named(&self, name: &str) -> Option<Operator> {
        let metadata = std::fs::metadata(&self.path).ok();
        let version = metadata.and_then(|own| Some((own.modified().ok()?, own.ino(), own.len())));
        let mut known = self.read.lock();
        if known.version != version || version.is_none() {
            let operators = read(&self.path).unwrap_or_else(|error| {
                tracing::error!(event = "operators_unreadable", "{error}");
                Vec::new()
            });
            *known = Read { version, operators };
        }
        known.operators.iter().find(|own| own.name == name).cloned()
    }

    /// An operator as he is now, unless he has gone or has another passphrase than when he signed in.
    pub(crate) fn still(&self, signed_in: &Operator) -> Option<Operator> {
        self.named(&signed_in.name).filter(|own| own.passphrase == signed_in.passphrase)
    }

    /// Takes as long for a name that nobody has as for one that somebody has.
    pub(crate) fn verify(operator: Option<&Operator>, passphrase: &str) -> bool {
        // Of no passphrase at all: its salt and output are zero.
        const NOBODY: &str =
            "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let hash = operator.map_or(NOBODY, |own| own.passphrase.as_str());
        let Ok(hash) = PasswordHash::new(hash) else { return false };
        let matches = Argon2::default().verify_password(passphrase.as_bytes(), &hash).is_ok();
        matches && operator.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_kept_as_its_hash_and_the_file_by_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operators.toml");
        assert_eq!(read(&path).unwrap(), []);
        let passphrase = generate().unwrap();
        assert_eq!(passphrase.len(), 23);
        let new = Operator::new("ann", &[Role::Treasury, Role::Operator, Role::Operator], &passphrase);
        set(&path, new.unwrap()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("$argon2id$") && !text.contains(&passphrase), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);

        let operators = Operators::new(path.clone());
        let ann = operators.named("ann").unwrap();
        assert_eq!(ann.roles, [Role::Operator, Role::Treasury]);
        assert!(Operators::verify(Some(&ann), &passphrase));
        assert!(!Operators::verify(Some(&ann), "something else"));
        assert!(!Operators::verify(None, &passphrase));
        assert!(remove(&path, "ann").unwrap());
        assert!(!remove(&path, "ann").unwrap());
        assert_eq!(operators.named("ann"), None, "removed while the console runs");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operators.toml");
        set(&path, Operator::new("ann", &[Role::Viewer], "twelve bytes it is").unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(Error::Exposed { .. })));
        assert_eq!(Operators::new(path).named("ann"), None);
    }

    #[test]
    fn names_and_passphrases_are_bounded() {
        for name in ["", "Ann", "ann b", "<b>", &"a".repeat(33)] {
            assert!(Operator::new(name, &[Role::Viewer], "long enough it is").is_err(), "{name:?}");
        }
        assert!(Operator::new("ann", &[], "long enough it is").is_err());
        assert!(Operator::new("ann", &[Role::Viewer], "too short").is_err());
        let strange = Operator { name: "ann".into(), roles: vec![Role::Viewer], passphrase: "no hash".into() };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operators.toml");
        assert!(set(&path, strange).is_err() && !path.exists());
    }
}
