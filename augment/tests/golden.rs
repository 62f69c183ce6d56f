//! Pixels, numbers and boxes that Pillow and torchvision made of the same input (`tests/golden/*.py`).

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use sbam_augment::{
    ColourChange, ColourStep, CropBox, DrawKey, Draws, IMAGENET_MEAN, IMAGENET_STD, Layout,
    Normalize, Purpose, RandomResizedCrop, Resizer, View,
};

fn i32s(tensor: &TensorView) -> Vec<i32> {
    let (values, _) = tensor.data().as_chunks();
    values.iter().copied().map(i32::from_le_bytes).collect()
}

fn f32s(tensor: &TensorView) -> Vec<f32> {
    let (values, _) = tensor.data().as_chunks();
    values.iter().copied().map(f32::from_le_bytes).collect()
}

fn f64s(tensor: &TensorView) -> Vec<f64> {
    let (values, _) = tensor.data().as_chunks();
    values.iter().copied().map(f64::from_le_bytes).collect()
}

/// The names that end in `.pixels`, without it.
fn cases(golden: &SafeTensors, prefix: &str) -> Vec<String> {
    let names = golden.names().into_iter();
    let names: Vec<String> = names
        .filter(|name| name.starts_with(prefix))
        .filter_map(|name| name.strip_suffix(".pixels").map(str::to_owned))
        .collect();
    assert!(!names.is_empty());
    names
}

/// How often each difference in levels occurs.
fn differences(found: &[u8], expected: &[u8]) -> [usize; 256] {
    assert_eq!(found.len(), expected.len());
    let mut counts = [0; 256];
    for (found, expected) in found.iter().zip(expected) {
        counts[usize::from(found.abs_diff(*expected))] += 1;
    }
    counts
}

#[test]
fn resizing_is_pillows() {
    let golden = SafeTensors::deserialize(include_bytes!("golden/resize.safetensors")).unwrap();
    let (mut resizer, mut total) = (Resizer::new(), [0; 256]);
    for case in cases(&golden, "case.") {
        let place = i32s(&golden.tensor(&format!("{case}.source_box")).unwrap());
        let &[source, x, y, width, height] = place.as_slice() else {
            panic!("{place:?}")
        };
        let crop = CropBox {
            x: x as u32,
            y: y as u32,
            width: width as u32,
            height: height as u32,
        };
        let source = golden.tensor(&format!("source.{source}")).unwrap();
        let expected = golden.tensor(&format!("{case}.pixels")).unwrap();
        let size = |tensor: &TensorView| (tensor.shape()[1] as u32, tensor.shape()[0] as u32);
        let ((width, height), (out_width, out_height)) = (size(&source), size(&expected));
        let mut found = vec![0; expected.data().len()];
        let view = View::plain(crop);
        resizer
            .render(
                source.data(),
                width,
                height,
                &view,
                &mut found,
                out_width,
                out_height,
            )
            .unwrap();
        let counts = differences(&found, expected.data());
        assert!(counts[3..].iter().all(|&n| n == 0), "{case}: {counts:?}");
        total
            .iter_mut()
            .zip(counts)
            .for_each(|(total, n)| *total += n);
    }
    let all: usize = total.iter().sum();
    assert!(
        (total[0] + total[1]) as f64 >= 0.999 * all as f64,
        "{total:?}"
    );
}

#[test]
fn colours_are_torchvisions() {
    let golden = SafeTensors::deserialize(include_bytes!("golden/colour.safetensors")).unwrap();
    let image = golden.tensor("image").unwrap();
    for case in cases(&golden, "") {
        let order = i32s(&golden.tensor(&format!("{case}.order")).unwrap());
        let factors = f32s(&golden.tensor(&format!("{case}.factors")).unwrap());
        let factor = |step: usize| Some(factors[step]).filter(|factor| !factor.is_nan());
        let change = ColourChange {
            order: std::array::from_fn(|at| ColourStep::ALL[order[at] as usize]),
            brightness: factor(0),
            contrast: factor(1),
            saturation: factor(2),
            hue: factor(3),
        };
        let mut found = image.data().to_vec();
        change.apply(&mut found);
        let expected = golden.tensor(&format!("{case}.pixels")).unwrap();
        let counts = differences(&found, expected.data());
        println!("{case}: {:?}", &counts[..4]);
        // A level lost in one step may be enlarged by the next.
        let bound = if case.starts_with("all.") { 3 } else { 1 };
        assert!(
            counts[bound + 1..].iter().all(|&n| n == 0),
            "{case}: {counts:?}"
        );
    }
}

#[test]
fn normalisation_is_torchvisions_to_the_bit() {
    let golden = SafeTensors::deserialize(include_bytes!("golden/normalise.safetensors")).unwrap();
    let levels: Vec<u8> = (0..=255).flat_map(|level| [level; 3]).collect();
    for (name, mean, std) in [
        ("imagenet", IMAGENET_MEAN, IMAGENET_STD),
        ("half", [0.5; 3], [0.5; 3]),
    ] {
        let mut found = vec![0.0; levels.len()];
        let normalise = Normalize::new(mean, std).unwrap();
        normalise
            .apply(&levels, Layout::Planar, &mut found)
            .unwrap();
        assert_eq!(found, f32s(&golden.tensor(name).unwrap()));
    }
}

#[test]
fn crop_boxes_are_torchvisions_for_the_same_draws() {
    let golden = SafeTensors::deserialize(include_bytes!("golden/boxes.safetensors")).unwrap();
    let settings = f64s(&golden.tensor("settings").unwrap());
    let rows = i32s(&golden.tensor("setting_width_height_box").unwrap());
    let (rows, _) = rows.as_chunks::<7>();
    assert!(!rows.is_empty());
    for (sample_index, row) in rows.iter().enumerate() {
        let [setting, width, height, x, y, crop_width, crop_height] = row.map(|n| n as u32);
        let bounds = &settings[setting as usize * 4..][..4];
        let crop = RandomResizedCrop {
            scale: [bounds[0], bounds[1]],
            ratio: [bounds[2], bounds[3]],
        };
        let mut draws = Draws::new(DrawKey {
            seed: 77,
            epoch: 3,
            sample_index: sample_index as u64,
            view: 0,
            purpose: Purpose::Crop,
        });
        let expected = CropBox {
            x,
            y,
            width: crop_width,
            height: crop_height,
        };
        let found = crop.draw(width, height, &mut draws);
        assert_eq!(found, expected, "sample {sample_index} of {width}x{height}");
    }
}
