//! Where codes lie on their grid, in words: what is easily got wrong, since NumPy's order is the other one.

/// Where code k lies on a grid of this shape, for people: the first axis is the fastest.
pub fn grid_layout(shape: &[usize]) -> String {
    match *shape {
        [] => "the grid is not known".to_string(),
        [_] => "code k lies at place k of the row".to_string(),
        [width, height] => format!(
            "code k lies at (k % {width}, k // {width}) on a grid of {width}×{height}: in column k % {width} and row k // {width}; NumPy's order after reshape({height}, {width})"
        ),
        _ => {
            let mut below = 1;
            let mut axes = Vec::new();
            for (axis, side) in shape.iter().enumerate() {
                let place = if below == 1 { "k".to_string() } else { format!("(k // {below})") };
                axes.push(if axis + 1 == shape.len() { format!("k // {below}") } else { format!("{place} % {side}") });
                below *= side;
            }
            let sides: Vec<String> = shape.iter().map(ToString::to_string).collect();
            format!(
                "code k lies at ({}) on a grid of {}: the first axis is the fastest",
                axes.join(", "),
                sides.join("×")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use ksom_quantizers::Grid;

    use super::*;

    #[test]
    fn the_words_are_those_of_the_grid() {
        let grid = Grid::new(vec![32, 16]).unwrap();
        for k in 0..512 {
            assert_eq!(grid.coordinates(k).unwrap(), [k % 32, k / 32]);
        }
        assert!(grid_layout(&[32, 16]).starts_with("code k lies at (k % 32, k // 32) on a grid of 32×16:"));
        let grid = Grid::new(vec![8, 4, 16]).unwrap();
        for k in 0..512 {
            assert_eq!(grid.coordinates(k).unwrap(), [k % 8, k / 8 % 4, k / 32]);
        }
        let text = "code k lies at (k % 8, (k // 8) % 4, k // 32) on a grid of 8×4×16: the first axis is the fastest";
        assert_eq!(grid_layout(&[8, 4, 16]), text);
        assert_eq!(grid_layout(&[9]), "code k lies at place k of the row");
    }
}
