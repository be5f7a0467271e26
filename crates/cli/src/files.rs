//! Files that commands write: names, folders, what may be replaced, pictures.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use ksom_vqvae::system::write_atomic_with;

use crate::failure::Usage;

/// The formats pictures are written in, by the file name's extension.
const WRITTEN_FORMATS: [ImageFormat; 5] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff];

/// Of 1 to 100; only for files that were asked for as JPEG.
const JPEG_QUALITY: u8 = 95;

/// The longest file name without its extension, in bytes.
const MAX_STEM: usize = 120;

/// So many folders above a picture keep their names.
const MAX_FOLDERS: usize = 16;

/// What stands for standard input and output on many command lines.
pub const STREAM: &str = "-";

/// Refuses `-` as an output: results are printed there.
pub fn refuse_stream(output: &Path) -> Result<()> {
    if output == Path::new(STREAM) {
        bail!(Usage("- as an output would be standard output, where results are printed: name a file or folder (./- for one of that name)".to_string()));
    }
    Ok(())
}

/// Creates a folder and those above it.
pub fn create_folder(folder: &Path) -> Result<()> {
    refuse_stream(folder)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))
}

/// Creates the folder that a file is to lie in.
pub fn create_folder_of(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => create_folder(folder),
        _ => Ok(()),
    }
}

/// Makes sure that none of `files` is there already, unless they may be replaced.
pub fn refuse_existing<'a>(files: impl IntoIterator<Item = &'a PathBuf>, overwrite: bool) -> Result<()> {
    if !overwrite && let Some(file) = files.into_iter().find(|file| file.symlink_metadata().is_ok()) {
        bail!("{} exists already: choose another folder, or pass --overwrite to replace it", file.display());
    }
    Ok(())
}

/// Makes sure that `output` is none of the files that are read: they may be the only copy.
pub fn refuse_input<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let Ok(output_file) = output.canonicalize() else { return Ok(()) };
    if inputs.into_iter().any(|input| input.canonicalize().is_ok_and(|input| input == output_file)) {
        bail!("{} is one of the files to read and would be replaced: choose another output", output.display());
    }
    Ok(())
}

/// The format to write a file in, by its name.
pub fn format_of(path: &Path) -> Option<ImageFormat> {
    ImageFormat::from_path(path).ok().filter(|format| WRITTEN_FORMATS.contains(format))
}

/// Makes sure that a file can be written as a picture, by its name, and that its folder is there.
pub fn prepare_picture(path: &Path) -> Result<()> {
    if format_of(path).is_none() {
        bail!(Usage(format!("{} should end in .png, .jpg, .webp, .bmp or .tiff", path.display())));
    }
    create_folder_of(path)
}

/// Whether a file's name says that it is an SVG drawing.
pub fn is_svg(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"))
}

/// Writes a picture in the format that its name says, PNG where it says none.
pub fn write_picture(path: &Path, picture: &RgbImage) -> Result<()> {
    let mut bytes = Vec::new();
    let mut cursor = std::io::Cursor::new(&mut bytes);
    match format_of(path).unwrap_or(ImageFormat::Png) {
        ImageFormat::Jpeg => picture.write_with_encoder(JpegEncoder::new_with_quality(&mut cursor, JPEG_QUALITY)),
        format => picture.write_to(&mut cursor, format),
    }
    .with_context(|| format!("cannot encode {}", path.display()))?;
    Ok(write_atomic_with(path, |file| std::io::Write::write_all(file, &bytes))?)
}

/// A file name for each picture below the folder that they go to: its own name's folders, its stem and `.png`, numbered
/// where several would have the same.
///
/// Whatever could leave the folder or be no file name somewhere is left out or replaced.
pub fn picture_file_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut files = FileNames::default();
    names.into_iter().map(|name| files.next(name)).collect()
}

/// The same one by one. Names are compared without case, since some file systems do so.
#[derive(Default)]
pub struct FileNames(HashSet<String>);

impl FileNames {
    /// The file name of the next picture.
    pub fn next(&mut self, name: &str) -> String {
        let parts: Vec<&str> = name.split(['/', '\\']).filter(|part| !["", ".", ".."].contains(part)).collect();
        let (last, folders) = parts.split_last().unwrap_or((&"", &[]));
        let folders = &folders[folders.len().saturating_sub(MAX_FOLDERS)..];
        let folder: String = folders.iter().map(|folder| safe_folder(folder) + "/").collect();
        let stem = match last.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => safe(stem),
            _ => safe(last),
        };
        let mut candidate = format!("{folder}{stem}.png");
        let mut number = 2;
        while !self.0.insert(candidate.to_lowercase()) {
            candidate = format!("{folder}{stem}-{number}.png");
            number += 1;
        }
        candidate
    }
}

/// A folder's name, which is never that of a picture.
fn safe_folder(name: &str) -> String {
    let safe = safe(name);
    if safe.to_lowercase().ends_with(".png") { safe + "_" } else { safe }
}

/// A name that is one everywhere.
fn safe(name: &str) -> String {
    let mut safe: String =
        name.chars().map(|c| if c.is_control() || r#"<>:"|?*"#.contains(c) { '_' } else { c }).collect();
    let mut end = safe.len().min(MAX_STEM);
    while !safe.is_char_boundary(end) {
        end -= 1;
    }
    safe.truncate(end);
    // Windows takes no names that end so, and "." and ".." are folders everywhere.
    let safe = safe.trim_end_matches(['.', ' ']);
    match safe {
        "" => "picture".to_string(),
        reserved if is_reserved(reserved) => format!("{reserved}_"),
        other => other.to_string(),
    }
}

/// Whether Windows keeps the name for a device.
fn is_reserved(stem: &str) -> bool {
    let upper = stem.split('.').next().unwrap_or(stem).trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        upper.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.chars().all(|c| c.is_ascii_digit()))
    };
    ["CON", "PRN", "AUX", "NUL"].contains(&upper.as_str()) || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_leave_the_folder() {
        let hostile = [
            "../../etc/passwd",
            r"..\..\x.jpg",
            "..",
            "/",
            "",
            "a/..",
            "C:\\y.png",
            "z\0\n.png",
            "nul.txt",
            "aux/./b.png",
            "./con /c.gif",
        ];
        let names = picture_file_names(hostile);
        assert_eq!(
            names,
            [
                "etc/passwd.png",
                "x.png",
                "picture.png",
                "picture-2.png",
                "picture-3.png",
                "a.png",
                "C_/y.png",
                "z__.png",
                "nul_.png",
                "aux_/b.png",
                "con_/c.png"
            ]
        );
        let deep = picture_file_names([format!("{}x.png", "d/".repeat(1000)).as_str()]);
        assert_eq!(deep[0].len(), 2 * MAX_FOLDERS + 5);
        for name in names {
            let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
            assert!(Path::new(&name).components().all(plain), "{name}");
        }
    }

    #[test]
    fn folders_stay_and_clashes_get_numbers() {
        let names =
            picture_file_names(["a/x.jpg", "b/X.png", "x-2.bmp", "x.gif", ".hidden", "A/x.png", "b/x.png/y.png"]);
        let expected = ["a/x.png", "b/X.png", "x-2.png", "x.png", ".hidden.png", "A/x-2.png", "b/x.png_/y.png"];
        assert_eq!(names, expected);
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        let names = picture_file_names(["é".repeat(200).as_str()]);
        assert_eq!(names, [format!("{}.png", "é".repeat(60))]);
    }
}
