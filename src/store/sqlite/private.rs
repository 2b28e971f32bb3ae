//! The database's files belong to their owner alone: they hold tokens, and orders with people's addresses.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Makes the database's file if it is not there, and takes the rights of others away from it and from the
/// files beside it: it may have been copied here. Gives what a person should know of that.
///
/// # Errors
/// The file can't be made; or others may read it, that can't be changed, and its secrets are not sealed.
pub(super) fn make(path: &Path, is_sealed: bool) -> io::Result<Vec<String>> {
    // Not opened if it is there: closing it would take SQLite's locks on it away from this process.
    match options().create_new(true).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // SQLite keeps the others beside the file itself, not beside a link to it.
    let path = path.canonicalize()?;
    let mut remarks = Vec::new();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut file = path.clone().into_os_string();
        file.push(suffix);
        match tighten(Path::new(&file)) {
            Ok(None) => {}
            Ok(Some(remark)) => remarks.push(remark),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if is_sealed => remarks.push(error.to_string()),
            Err(error) => {
                let remedy =
                    "make this user its owner and chmod it to 600, or seal the tokens with store.encryption_key";
                return Err(io::Error::new(error.kind(), format!("{error}; {remedy}")));
            }
        }
    }
    Ok(remarks)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes the rights of others away, if they have any, and says so.
#[cfg(unix)]
fn tighten(file: &Path) -> io::Result<Option<String>> {
    use std::os::unix::fs::PermissionsExt;
    let mode = |file: &Path| Ok::<_, io::Error>(std::fs::metadata(file)?.permissions().mode() & 0o777);
    let before = mode(file)?;
    if before & 0o077 == 0 {
        return Ok(None);
    }
    let changed = std::fs::set_permissions(file, PermissionsExt::from_mode(before & 0o600));
    let after = mode(file)?;
    let shown = file.display();
    match changed {
        Ok(()) if after & 0o077 == 0 => {
            Ok(Some(format!("{shown} was open to others (mode {before:o}); its mode is {after:o} now")))
        }
        Ok(()) => Err(io::Error::other(format!("{shown} is open to others (mode {after:o}), which can't be changed"))),
        Err(error) => {
            let why = format!("{shown} is open to others (mode {after:o}), which can't be changed: {error}");
            Err(io::Error::new(error.kind(), why))
        }
    }
}

#[cfg(not(unix))]
fn tighten(_file: &Path) -> io::Result<Option<String>> {
    Ok(None)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_private_and_nothing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridge.db");
        assert!(make(&path, false).unwrap().is_empty());
        assert_eq!(mode(&path), 0o600);
        assert!(make(&path, false).unwrap().is_empty());
    }

    #[test]
    fn files_that_others_may_read_are_made_private_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridge.db");
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let files = ["", "-wal", "-shm"].map(|suffix| folder.path().join(format!("bridge.db{suffix}")));
        for file in &files {
            std::fs::write(file, "").unwrap();
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
        }
        let remarks = make(&link, false).unwrap();
        assert_eq!(remarks.len(), files.len(), "{remarks:?}");
        for (file, remark) in files.iter().zip(remarks) {
            assert_eq!(mode(file), 0o600);
            assert!(remark.contains(file.to_str().unwrap()) && remark.contains("644"), "{remark}");
        }
    }
}
