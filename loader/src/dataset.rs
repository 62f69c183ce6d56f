use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result, SampleProblem};
use crate::index::index_shards;
use crate::manifest::{Manifest, Sample, Shard, hex};
use crate::shard_files::ShardFiles;

/// Shards and their manifest: what a loader reads from.
#[derive(Debug)]
pub struct Dataset {
    /// What the shards hold.
    pub manifest: Manifest,
    hash: String,
    files: ShardFiles,
}

impl Dataset {
    /// Opens the data set that `spec` names: a folder of shards, one shard, or a brace list of shards such as
    /// `shards/train-{000000..000003}.tar`.
    ///
    /// The manifest is `manifest.parquet` beside the shards, of which a brace list may name a part. Without one, the
    /// shards are indexed once, and the manifest is kept in `cache_dir` for as long as their sizes and times stay the same;
    /// `progress` is then told the bytes read so far and in total.
    pub fn open(spec: &str, cache_dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Self> {
        let shards = shard_paths(spec)?;
        if let Some(path) = manifest_beside(&shards) {
            let (mut manifest, mut hash) = Manifest::read_hashed(&path)?;
            if Path::new(spec).is_dir() {
                refuse_unlisted(&manifest, &shards, &path)?;
            } else {
                manifest = select(manifest, &shards, &path)?;
                hash = manifest.hash();
            }
            let folder = path.parent().unwrap_or(Path::new("."));
            let paths = manifest
                .shards
                .iter()
                .map(|s| folder.join(&s.name))
                .collect();
            return Self::new(manifest, hash, paths, &path);
        }
        let cached = cache_dir
            .join("manifests")
            .join(format!("{}.parquet", fingerprint(&shards)?));
        // A cached manifest that cannot be read is made anew; it holds nothing that the shards do not.
        let (manifest, hash) = match Manifest::read_hashed(&cached) {
            Ok((manifest, hash)) if describes(&manifest, &shards) => (manifest, hash),
            _ => {
                let manifest = index_shards(&shards, progress)?;
                if let Some(folder) = cached.parent() {
                    std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
                }
                manifest.write(&cached)?;
                let hash = manifest.hash();
                (manifest, hash)
            }
        };
        Self::new(manifest, hash, shards, &cached)
    }

    /// A data set of a manifest, its hash and its shards' paths, in the manifest's order, after checking that each is there and as
    /// long as listed. `manifest_path` is for messages.
    fn new(
        manifest: Manifest,
        hash: String,
        paths: Vec<PathBuf>,
        manifest_path: &Path,
    ) -> Result<Self> {
        for (shard, path) in manifest.shards.iter().zip(&paths) {
            let disagrees = |problem| Error::ShardDisagrees {
                shard: shard.name.clone(),
                manifest: manifest_path.to_owned(),
                problem,
            };
            match std::fs::metadata(path) {
                Ok(found) if found.len() == shard.bytes => {}
                Ok(found) => {
                    return Err(disagrees(format!(
                        "it has {} bytes, the manifest says {}",
                        found.len(),
                        shard.bytes
                    )));
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    return Err(disagrees(format!("there is no file {}", path.display())));
                }
                Err(e) => return Err(Error::io("read", path, e)),
            }
        }
        if manifest.samples.is_empty() {
            return Err(Error::Data {
                spec: manifest_path.display().to_string(),
                problem: "the manifest lists no samples; make shards with shard_imagenet"
                    .to_owned(),
            });
        }
        Ok(Self {
            manifest,
            hash,
            files: ShardFiles::new(paths),
        })
    }

    /// The manifest's hash, see [`Manifest::hash`].
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The number of samples.
    pub fn len(&self) -> u64 {
        self.manifest.samples.len() as u64
    }

    /// Whether there are no samples; never so for an opened data set.
    pub fn is_empty(&self) -> bool {
        self.manifest.samples.is_empty()
    }

    /// The manifest's row of a sample.
    ///
    /// # Panics
    /// If `sample_index` is not below [`len`](Self::len).
    pub fn sample(&self, sample_index: u64) -> &Sample {
        &self.manifest.samples[sample_index as usize]
    }

    /// The shard that holds a sample.
    ///
    /// # Panics
    /// If `sample_index` is not below [`len`](Self::len).
    pub fn shard(&self, sample_index: u64) -> &Shard {
        &self.manifest.shards[self.sample(sample_index).shard_index as usize]
    }

    /// Reads the bytes of a sample's JPEG into `into`, which is cleared first.
    ///
    /// # Panics
    /// If `sample_index` is not below [`len`](Self::len).
    pub fn read(&self, sample_index: u64, into: &mut Vec<u8>) -> Result<()> {
        let sample = self.sample(sample_index);
        into.resize(sample.length as usize, 0);
        let shard_index = sample.shard_index as usize;
        self.files
            .read_exact_at(shard_index, sample.offset as u64, into)
            .map_err(|source| Error::ShardRead {
                shard: self.files.path(shard_index).to_owned(),
                key: sample.key.clone(),
                offset: sample.offset as u64,
                source,
            })
    }

    /// The error for a sample that cannot be used, with its place.
    ///
    /// # Panics
    /// If `sample_index` is not below [`len`](Self::len).
    pub fn bad_sample(&self, sample_index: u64, problem: SampleProblem) -> Error {
        let sample = self.sample(sample_index);
        Error::Sample {
            shard: self.shard(sample_index).name.clone(),
            key: sample.key.clone(),
            offset: sample.offset as u64,
            problem,
        }
    }
}

/// The shards that `spec` names: of a folder in order of their names, of a list in its own order.
fn shard_paths(spec: &str) -> Result<Vec<PathBuf>> {
    let problem = |problem: String| Error::Data {
        spec: spec.to_owned(),
        problem,
    };
    if spec.is_empty() {
        return Err(problem(
            "no data named; give a folder of .tar shards".to_owned(),
        ));
    }
    if spec.starts_with("pipe:") {
        return Err(problem(
            "pipe: would run a command and is refused; fetch the shards first and give their folder".to_owned(),
        ));
    }
    if spec.contains("://") {
        return Err(problem(
            "URLs are not read so far; fetch the shards first and give their folder".to_owned(),
        ));
    }
    let path = Path::new(spec);
    if path.is_dir() {
        return shards_in(path, spec);
    }
    let paths: Vec<PathBuf> = if path.exists() {
        vec![path.to_owned()]
    } else {
        let names = webdataset::braceexpand(spec).map_err(|e| problem(e.to_string()))?;
        names.into_iter().map(PathBuf::from).collect()
    };
    for path in &paths {
        let name = path.to_string_lossy();
        if let Some(suffix) = compressed_suffix(&name) {
            return Err(problem(format!(
                "{name} is compressed ({suffix}); only plain .tar shards are read so far, unpack it first"
            )));
        }
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(problem(format!("{name} is not a file"))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(problem(format!(
                    "there is no {name}; give a folder of .tar shards or a list such as \"DIR/train-{{000000..000003}}.tar\""
                )));
            }
            Err(e) => return Err(Error::io("read", path, e)),
        }
    }
    Ok(paths)
}

fn shards_in(folder: &Path, spec: &str) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io("list", folder, e);
    let mut shards = Vec::new();
    let mut compressed = None;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Hidden files are leftovers of programs that write beside and rename.
        if name.starts_with('.') {
            continue;
        }
        if Path::new(&*name)
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("tar"))
        {
            shards.push(path);
        } else if compressed_suffix(&name).is_some() {
            compressed = Some(name.into_owned());
        }
    }
    shards.sort_unstable();
    if let Some(name) = compressed {
        return Err(Error::Data {
            spec: spec.to_owned(),
            problem: format!(
                "{name} is compressed; only plain .tar shards are read so far, unpack them first"
            ),
        });
    }
    if shards.is_empty() {
        return Err(Error::Data {
            spec: spec.to_owned(),
            problem: "the folder holds no .tar shards; pack photographs (.jpg or .jpeg files) with shard_imagenet"
                .to_owned(),
        });
    }
    Ok(shards)
}

fn compressed_suffix(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    [".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"]
        .into_iter()
        .find(|suffix| name.ends_with(suffix))
}

/// The manifest beside the shards, if they share a folder and it has one.
fn manifest_beside(shards: &[PathBuf]) -> Option<PathBuf> {
    let folder = shards.first()?.parent()?;
    let path = folder.join(Manifest::FILE_NAME);
    (shards.iter().all(|shard| shard.parent() == Some(folder)) && path.exists()).then_some(path)
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// Whether the manifest lists these shards, in this order.
fn describes(manifest: &Manifest, shards: &[PathBuf]) -> bool {
    let listed = manifest.shards.iter().map(|shard| shard.name.as_str());
    listed.eq(shards.iter().map(|path| file_name(path)))
}

/// A shard in the folder that the manifest does not list would silently not be trained on.
fn refuse_unlisted(manifest: &Manifest, shards: &[PathBuf], manifest_path: &Path) -> Result<()> {
    let listed: HashSet<&str> = manifest
        .shards
        .iter()
        .map(|shard| shard.name.as_str())
        .collect();
    match shards
        .iter()
        .map(|path| file_name(path))
        .find(|name| !listed.contains(name))
    {
        None => Ok(()),
        Some(name) => Err(unlisted(name, manifest_path)),
    }
}

fn unlisted(name: &str, manifest_path: &Path) -> Error {
    Error::ShardDisagrees {
        shard: name.to_owned(),
        manifest: manifest_path.to_owned(),
        problem: "the manifest does not list it".to_owned(),
    }
}

/// The part of a manifest that describes the given shards, in the order given.
fn select(mut manifest: Manifest, shards: &[PathBuf], manifest_path: &Path) -> Result<Manifest> {
    // Where each listed shard goes in the part, if it does.
    let mut place = vec![None; manifest.shards.len()];
    let mut chosen = Vec::with_capacity(shards.len());
    let listed: HashMap<&str, usize> = manifest
        .shards
        .iter()
        .enumerate()
        .map(|(index, shard)| (shard.name.as_str(), index))
        .collect();
    for path in shards {
        let name = file_name(path);
        let Some(&index) = listed.get(name) else {
            return Err(unlisted(name, manifest_path));
        };
        place[index] = Some(chosen.len() as i32);
        chosen.push(manifest.shards[index].clone());
    }
    manifest.shards = chosen;
    manifest.samples.retain_mut(|sample| {
        let index = place[sample.shard_index as usize];
        sample.shard_index = index.unwrap_or_default();
        index.is_some()
    });
    manifest.samples.sort_by_key(|sample| sample.shard_index);
    manifest.check()?;
    Ok(manifest)
}

/// Names a cached manifest after all that would make it stale: the shards' paths, sizes and times.
fn fingerprint(shards: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new();
    for shard in shards {
        let failed = |e| Error::io("read", shard, e);
        let path = shard.canonicalize().map_err(failed)?;
        let found = std::fs::metadata(&path).map_err(failed)?;
        let path = path.as_os_str().as_encoded_bytes();
        hasher.update((path.len() as u64).to_le_bytes());
        hasher.update(path);
        hasher.update(found.len().to_le_bytes());
        hasher.update(found.mtime().to_le_bytes());
        hasher.update(found.mtime_nsec().to_le_bytes());
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests;
