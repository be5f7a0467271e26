//! Real checkpoints, damaged ones, and pickles made by hand to do harm.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use candle_core::DType;
use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::unpickle::unpickle;
use super::*;

/// A golden checkpoint, or `None` with a printed reason where the files are not there.
fn golden(name: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("KSOM_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from);
    let path = dir.join("model").join(name);
    if !path.is_file() {
        eprintln!("SKIPPED: {} is not there (set KSOM_GOLDEN to the folder of golden files)", path.display());
        return None;
    }
    Some(path)
}

const GOLDEN: [&str; 2] = ["torch-vqvae.pth", "torch-vqvae2.pth"];

/// A pickle with a stored archive around it.
fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("made/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    for (name, bytes) in storages {
        zip.start_file(format!("made/data/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn text(text: &str) -> Vec<u8> {
    [b"X", (text.len() as u32).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

fn int(value: i32) -> Vec<u8> {
    [b"J".as_slice(), &value.to_le_bytes()].concat()
}

/// The call that rebuilds a tensor from storage "0".
fn tensor(class: &str, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let tuple = |values: &[i32]| [b"(".to_vec(), values.iter().flat_map(|&v| int(v)).collect(), b"t".to_vec()].concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{class}\n").into_bytes(),
        text("0"),
        text("cpu"),
        int(6),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(strides),
        b"\x89)tR".to_vec(),
    ]
    .concat()
}

fn read_tensor(class: &str, offset: i32, shape: &[i32], strides: &[i32], storage: &[u8]) -> Result<Tensor, PthError> {
    let pickle = [b"\x80\x02".to_vec(), tensor(class, offset, shape, strides), b".".to_vec()].concat();
    let file = file(&archive(&pickle, &[("0", storage)]));
    let pth = PthFile::open(file.path())?;
    pth.tensor(pth.value().as_tensor().expect("the pickle is a tensor"))
}

#[test]
fn golden_checkpoints_are_read() {
    let mut read = 0;
    for (name, tensors, codebook) in [(GOLDEN[0], 26, "_vq_vae._w"), (GOLDEN[1], 66, "quantize_t._w")] {
        let Some(path) = golden(name) else { continue };
        let pth = PthFile::open(&path).unwrap();
        let args = pth.get(&["run_invariants", "args"]).unwrap();
        assert_eq!(args.get("vq_vae.num_hiddens").and_then(PthValue::as_int), Some(16));
        assert_eq!(args.get("vq_vae.commitment_cost").and_then(PthValue::as_float), Some(0.25));
        assert_eq!(args.get("vq_vae.neihborhood").and_then(PthValue::as_str), Some("hard"));
        assert_eq!(
            args.get("adam.betas").and_then(PthValue::as_list),
            Some([PthValue::Float(0.9), PthValue::Float(0.999)].as_slice())
        );
        // The pickled subclass of a dictionary.
        assert_eq!(pth.get(&["state", "iter"]).unwrap().as_int(), Some(1));
        let model = pth.get(&["model"]).unwrap().as_dict().unwrap();
        assert_eq!(model.len(), tensors, "{name}: attributes such as _metadata must not count as items");
        for (key, value) in model {
            let tensor = pth.tensor(value.as_tensor().expect("a state dictionary holds tensors")).unwrap();
            assert_eq!(tensor.dtype(), DType::F32);
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|v| v.is_finite()), "{name}: {key:?}");
        }
        let codebook = pth.get(&["model", codebook]).unwrap().as_tensor().unwrap();
        assert_eq!(codebook.shape(), [16, 8]);
        let missing = pth.get(&["model", "nowhere"]).unwrap_err().to_string();
        assert!(missing.contains(name) && missing.contains("model/nowhere"), "{missing}");
        read += 1;
    }
    println!("{read} golden checkpoints read");
}

#[test]
fn golden_checkpoints_hold_the_values_that_pytorch_reads() {
    // torch.load(...)["model"]["_vq_vae._w"][0, :3] and ["_encoder._conv_1.weight"][7, 2, 3], PyTorch 2.9.1.
    let Some(path) = golden(GOLDEN[0]) else { return };
    let pth = PthFile::open(&path).unwrap();
    let values = |key: &str| -> Vec<f32> {
        let tensor = pth.tensor(pth.get(&["model", key]).unwrap().as_tensor().unwrap()).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    };
    assert_eq!(values("_vq_vae._w")[..3], GOLDEN_CODEBOOK);
    assert_eq!(values("_encoder._conv_1.weight")[380..], GOLDEN_WEIGHT);
}

const GOLDEN_CODEBOOK: [f32; 3] = [-1.0343097, -0.35712424, -1.0159252];
const GOLDEN_WEIGHT: [f32; 4] = [0.12430041, -0.046478275, -0.057730634, -0.13416493];

#[test]
fn golden_checkpoints_cut_short_are_refused() {
    for name in GOLDEN {
        let Some(path) = golden(name) else { continue };
        let bytes = std::fs::read(&path).unwrap();
        for length in (0..bytes.len()).step_by(bytes.len() / 97).chain(bytes.len() - 40..bytes.len()) {
            let cut = file(&bytes[..length]);
            assert!(PthFile::open(cut.path()).is_err(), "{name} cut to {length} bytes");
        }
    }
}

/// SplitMix64, so that the damage is the same on every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn golden_checkpoints_with_flipped_bytes_do_no_harm() {
    let Some(path) = golden(GOLDEN[0]) else { return };
    let bytes = std::fs::read(&path).unwrap();
    let mut state = 1;
    let (mut refused, mut read) = (0, 0);
    for _ in 0..300 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + next(&mut state) % 4 {
            let at = next(&mut state) as usize % damaged.len();
            damaged[at] ^= 1 + (next(&mut state) % 255) as u8;
        }
        let damaged = file(&damaged);
        match PthFile::open(damaged.path()) {
            Err(_) => refused += 1,
            Ok(pth) => {
                for (_, value) in pth.get(&["model"]).ok().and_then(PthValue::as_dict).unwrap_or_default() {
                    let Some(tensor) = value.as_tensor() else { continue };
                    if let Ok(tensor) = pth.tensor(tensor) {
                        assert!(tensor.elem_count() <= bytes.len());
                        read += 1;
                    }
                }
            }
        }
    }
    println!("{refused} of 300 damaged files refused, {read} sound tensors read from the others");
    assert!(refused > 0 && read > 0);
}

#[test]
fn golden_structures_with_flipped_bytes_do_no_harm() {
    // Past the archive's checksum, straight into the reader of pickles.
    for name in GOLDEN {
        let Some(path) = golden(name) else { continue };
        let mut archive = ZipArchive::new(BufReader::new(File::open(&path).unwrap())).unwrap();
        let root = archive_root(&archive).unwrap();
        let pickle = read_entry(&mut archive, &format!("{root}/data.pkl"), MAX_PICKLE_BYTES).unwrap();
        let mut state = 2;
        for _ in 0..2_000 {
            let mut damaged = pickle.clone();
            for _ in 0..1 + next(&mut state) % 4 {
                let at = next(&mut state) as usize % damaged.len();
                damaged[at] = next(&mut state) as u8;
            }
            if let Err(error) = unpickle(&damaged) {
                assert!(error.offset <= damaged.len() && !error.message.is_empty());
            }
        }
        for length in (0..pickle.len()).step_by(13) {
            assert!(unpickle(&pickle[..length]).is_err());
        }
    }
}

#[test]
fn a_malicious_call_is_inert() {
    let marker = std::env::temp_dir().join("ksom-pth-test-must-not-exist");
    let command = format!("echo harm > {}", marker.display());
    for function in ["cposix\nsystem\n", "cnt\nsystem\n", "cos\nsystem\n", "cbuiltins\neval\n"] {
        let pickle = [b"\x80\x02}(".to_vec(), text("x"), function.into(), text(&command), b"\x85Ru.".to_vec()].concat();
        let file = file(&archive(&pickle, &[]));
        let pth = PthFile::open(file.path()).unwrap();
        assert_eq!(pth.value().get("x"), Some(&PthValue::Dict(Vec::new())));
    }
    assert!(!marker.exists());
}

#[test]
fn unknown_objects_become_their_attributes_and_items() {
    // copyreg-style NEWOBJ + BUILD; a subclass of dict with items as well.
    let object = [
        b"\x80\x02cargparse\nNamespace\n)\x81q\x00}".to_vec(),
        text("lr"),
        int(3),
        b"sb(".to_vec(),
        text("item"),
        b"\x88u.".to_vec(),
    ]
    .concat();
    let value = unpickle(&object).unwrap();
    assert_eq!(value.get("lr").and_then(PthValue::as_int), Some(3));
    assert_eq!(value.get("item").and_then(PthValue::as_bool), Some(true));
    // An OrderedDict's attributes are no items; a key that comes again takes the new value.
    let ordered = [
        b"\x80\x02ccollections\nOrderedDict\n)R}".to_vec(),
        text("_metadata"),
        int(1),
        b"sb(".to_vec(),
        text("a"),
        int(1),
        text("a"),
        int(2),
        b"u.".to_vec(),
    ]
    .concat();
    let value = unpickle(&ordered).unwrap();
    assert_eq!(value, PthValue::Dict(vec![(PthValue::String("a".into()), PthValue::Int(2))]));
}

#[test]
fn shared_values_are_seen_with_later_changes() {
    // A list is remembered while empty, filled, then recalled.
    let pickle = [b"\x80\x02(]q\x00".to_vec(), int(7), b"ah\x00t.".to_vec()].concat();
    let filled = PthValue::List(vec![PthValue::Int(7)]);
    assert_eq!(unpickle(&pickle).unwrap(), PthValue::List(vec![filled.clone(), filled]));
}

#[test]
fn long_integers_are_read() {
    let long =
        |bytes: &[u8]| unpickle(&[b"\x80\x02\x8a".as_slice(), &[bytes.len() as u8], bytes, b"."].concat()).unwrap();
    assert_eq!(long(&[]), PthValue::Int(0));
    assert_eq!(long(&[0xff]), PthValue::Int(-1));
    assert_eq!(long(&[0xff, 0x00]), PthValue::Int(255));
    assert_eq!(long(&i64::MIN.to_le_bytes()), PthValue::Int(i64::MIN));
    assert_eq!(long(&[0, 0, 0, 0, 0, 0, 0, 0, 1]), PthValue::Float(2_f64.powi(64)));
    assert_eq!(long(&[0; 8].into_iter().chain([0xff]).collect::<Vec<u8>>()), PthValue::Float(-(2_f64.powi(64))));
}

#[test]
fn expanding_pickles_are_refused_quickly() {
    let start = Instant::now();
    // A tuple of two, of which each holds the one before twice: 2^60 values.
    let mut doubling = b"\x80\x02N".to_vec();
    for level in 0..60_u8 {
        doubling.extend([b'q', level, b'h', level, 0x86]);
    }
    doubling.push(b'.');
    assert!(unpickle(&doubling).unwrap_err().message.contains("values"));
    // A list that holds itself.
    assert!(unpickle(b"\x80\x02]q\x00h\x00a.").unwrap_err().message.contains("nested"));
    // Nesting alone.
    let nested = [b"\x80\x02N".to_vec(), vec![0x85; 100_000], b".".to_vec()].concat();
    assert!(unpickle(&nested).unwrap_err().message.contains("nested"));
    // One long text shared many times.
    let long = text(&"x".repeat(1 << 20));
    let shared = [b"\x80\x02(".to_vec(), long, b"q\x00".to_vec(), b"h\x00".repeat(1000), b"t.".to_vec()].concat();
    assert!(unpickle(&shared).unwrap_err().message.contains("bytes of text"));
    // A length that the data does not have.
    assert!(unpickle(b"\x80\x02X\xff\xff\xff\xffabc").unwrap_err().message.contains("more bytes"));
    // Too many operations.
    assert!(unpickle(&b"N0".repeat(2_000_000)).unwrap_err().message.contains("operations"));
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
}

#[test]
fn misuse_of_the_stack_is_refused() {
    for pickle in [
        b"".as_slice(),
        b".",
        b"\x80\x02.",
        b"\x80\x04N.",
        b"0",
        b"(0",
        b"t",
        b"Nq\x00(q\x01.",
        b"h\x05.",
        b"NNs.",
        b"N(u.",
        b"}(Nu.",
        b"NNa.",
        b"NQ.",
        b"NNR",
        b"R",
        b"Nb.",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"ctorch._utils\n_rebuild_parameter\n)R.",
        b"cno newline",
        b"\xfe",
    ] {
        // Calling what is no function gives an inert object, and `NNR` then lacks its end.
        assert!(unpickle(pickle).is_err(), "{pickle:?}");
    }
}

#[test]
fn element_types_and_strides_are_honored() {
    let floats: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let contiguous = read_tensor("FloatStorage", 0, &[2, 3], &[3, 1], &floats).unwrap();
    assert_eq!(contiguous.to_vec2::<f32>().unwrap(), [[0., 1., 2.], [3., 4., 5.]]);
    let transposed = read_tensor("FloatStorage", 0, &[3, 2], &[1, 3], &floats).unwrap();
    assert_eq!(transposed.to_vec2::<f32>().unwrap(), [[0., 3.], [1., 4.], [2., 5.]]);
    let column = read_tensor("FloatStorage", 1, &[2], &[3], &floats).unwrap();
    assert_eq!(column.to_vec1::<f32>().unwrap(), [1., 4.]);
    let expanded = read_tensor("FloatStorage", 5, &[2, 2], &[0, 0], &floats).unwrap();
    assert_eq!(expanded.to_vec2::<f32>().unwrap(), [[5., 5.], [5., 5.]]);
    let scalar = read_tensor("FloatStorage", 4, &[], &[], &floats).unwrap();
    assert_eq!(scalar.to_scalar::<f32>().unwrap(), 4.);
    let empty = read_tensor("FloatStorage", 0, &[0, 3], &[3, 1], &floats).unwrap();
    assert_eq!(empty.dims(), [0, 3]);

    let doubles: Vec<u8> = [1.5_f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read_tensor("DoubleStorage", 0, &[2], &[1], &doubles).unwrap().to_vec1::<f64>().unwrap(), [1.5, -2.]);
    let longs: Vec<u8> = [-1_i64, 1 << 40].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read_tensor("LongStorage", 0, &[2], &[1], &longs).unwrap().to_vec1::<i64>().unwrap(), [-1, 1 << 40]);
    let ints = read_tensor("IntStorage", 0, &[1], &[1], &(-5_i32).to_le_bytes()).unwrap();
    assert_eq!(ints.to_vec1::<i32>().unwrap(), [-5]);
    assert_eq!(read_tensor("ByteStorage", 0, &[2], &[1], &[7, 255]).unwrap().to_vec1::<u8>().unwrap(), [7, 255]);
    assert_eq!(read_tensor("BoolStorage", 0, &[2], &[1], &[0, 1]).unwrap().to_vec1::<u8>().unwrap(), [0, 1]);
    // 1.5 in half precision and in bfloat16.
    for (class, bits, dtype) in [("HalfStorage", 0x3e00_u16, DType::F16), ("BFloat16Storage", 0x3fc0, DType::BF16)] {
        let tensor = read_tensor(class, 0, &[1], &[1], &bits.to_le_bytes()).unwrap();
        assert_eq!(tensor.dtype(), dtype);
        assert_eq!(tensor.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap(), [1.5]);
    }
}

#[test]
fn tensors_beyond_their_storage_are_refused() {
    let storage = [0_u8; 24];
    for (offset, shape, strides) in [
        (0, vec![7], vec![1]),
        (1, vec![2, 3], vec![3, 1]),
        (6, vec![], vec![]),
        (0, vec![2], vec![6]),
        (0, vec![i32::MAX; 8], vec![0; 8]),
        (0, vec![0, i32::MAX, i32::MAX, i32::MAX], vec![1; 4]),
        (0, vec![2; 8], vec![i32::MAX; 8]),
        (0, vec![i32::MAX], vec![0]),
        (-1, vec![1], vec![1]),
        (0, vec![-1], vec![1]),
        (0, vec![1; 9], vec![1; 9]),
        (0, vec![1], vec![1, 1]),
    ] {
        let error = read_tensor("FloatStorage", offset, &shape, &strides, &storage);
        assert!(error.is_err(), "{offset} {shape:?} {strides:?}");
    }
    let unsupported = read_tensor("ComplexFloatStorage", 0, &[1], &[1], &storage).unwrap_err().to_string();
    assert!(unsupported.contains("not supported"), "{unsupported}");
}

#[test]
fn archives_of_another_form_are_refused_by_name() {
    let missing = PthFile::open("no/such/file.pth").unwrap_err();
    assert!(matches!(missing, PthError::Open { .. }) && missing.to_string().contains("file.pth"));
    let plain = file(b"\x80\x02}.");
    let error = PthFile::open(plain.path()).unwrap_err().to_string();
    assert!(error.contains("zip format of torch.save"), "{error}");
    let no_pickle = {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("a/b/data.pkl", SimpleFileOptions::default().compression_method(CompressionMethod::Stored))
            .unwrap();
        file(&zip.finish().unwrap().into_inner())
    };
    let error = PthFile::open(no_pickle.path()).unwrap_err().to_string();
    assert!(error.contains("data.pkl"), "{error}");
    let damaged = file(&archive(b"\x80\x02\xfe", &[]));
    let error = PthFile::open(damaged.path()).unwrap_err();
    assert!(matches!(error, PthError::Structure { offset: 2, .. }), "{error}");
    let no_storage = [b"\x80\x02".to_vec(), tensor("FloatStorage", 0, &[1], &[1]), b".".to_vec()].concat();
    let no_storage = file(&archive(&no_storage, &[]));
    let pth = PthFile::open(no_storage.path()).unwrap();
    let error = pth.tensor(pth.value().as_tensor().unwrap()).unwrap_err().to_string();
    assert!(error.contains("made/data/0"), "{error}");
}
