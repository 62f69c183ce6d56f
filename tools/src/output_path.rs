//! Where the output goes, in full, and whether it may go there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The absolute path of a folder that need not exist yet, with links followed as far as it does.
pub(crate) fn resolve(out: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(out).context("the output folder needs a name")?;
    for existing in absolute.ancestors() {
        // A broken link does not resolve; it is found and refused later.
        let Ok(found) = existing.canonicalize() else {
            continue;
        };
        let Ok(rest) = absolute.strip_prefix(existing) else {
            continue;
        };
        if rest
            .components()
            .any(|part| matches!(part, std::path::Component::ParentDir))
        {
            bail!(
                "{} goes up from a folder that does not exist; give a plain path",
                out.display()
            );
        }
        let resolved = if rest.as_os_str().is_empty() {
            found
        } else {
            found.join(rest)
        };
        if resolved.file_name().is_none() {
            bail!(
                "{} cannot be replaced; give a folder inside it",
                resolved.display()
            );
        }
        return Ok(resolved);
    }
    bail!("there is no such place as {}", out.display())
}

/// An error if the resolved `out` is `input` or lies inside it: the next run would take shards for input.
pub(crate) fn refuse_nested(input: &Path, out: &Path) -> Result<()> {
    // An input that does not exist is reported when it is listed.
    let Ok(input) = input.canonicalize() else {
        return Ok(());
    };
    if out == input {
        bail!(
            "input and output are the same folder {}; choose another folder for the shards",
            out.display()
        );
    }
    if out.starts_with(&input) {
        bail!(
            "the output {} is inside the input {}; choose a folder outside it",
            out.display(),
            input.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_resolve_through_links_and_missing_folders() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(resolve(&link).unwrap(), real);
        assert_eq!(
            resolve(&link.join("new/deep/")).unwrap(),
            real.join("new/deep")
        );
        assert!(resolve(&link.join("new/../deep")).is_err());
        assert!(resolve(Path::new("/")).is_err());
        assert!(resolve(Path::new("")).is_err());
    }

    #[test]
    fn an_output_inside_the_input_is_refused_even_through_a_link() {
        let place = tempfile::tempdir().unwrap();
        let input = place.path().join("images");
        std::fs::create_dir(&input).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&input, &link).unwrap();
        for out in [
            input.clone(),
            input.join("shards"),
            link.join("a/b"),
            input.join("../images/x"),
        ] {
            assert!(
                refuse_nested(&input, &resolve(&out).unwrap()).is_err(),
                "{}",
                out.display()
            );
        }
        assert!(
            refuse_nested(
                &input,
                &resolve(&place.path().join("images-shards")).unwrap()
            )
            .is_ok()
        );
    }
}
