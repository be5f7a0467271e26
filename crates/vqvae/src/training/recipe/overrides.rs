//! Fields of a recipe that are set one by one, and shapes that are found for what a recipe leaves open.

use ksom_quantizers::{Grid, fsq_levels};
use toml::{Table, Value};

/// Writes one override into the table. The value is TOML, or a string where it is not.
pub(crate) fn set(table: &mut Table, key: &str, value: &str) -> std::result::Result<(), String> {
    let parsed: Value = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_string()));
    let (section_name, field) = place_of(table, key)?;
    let known = fields(table);
    let section = table
        .get_mut(&section_name)
        .and_then(Value::as_table_mut)
        .ok_or_else(|| format!("no section {section_name:?} to set; fields are {}", known.join(", ")))?;
    // A whole number stands for a float where one is expected.
    let parsed = match (section.get(field), parsed) {
        (Some(Value::Float(_)), Value::Integer(whole)) => Value::Float(whole as f64),
        (_, parsed) => parsed,
    };
    section.insert(field.to_string(), parsed);
    Ok(())
}

/// Section and field that a key means.
pub(crate) fn place_of<'a>(table: &Table, key: &'a str) -> std::result::Result<(String, &'a str), String> {
    Ok(match key.split_once('.') {
        Some((section, field)) => (section.to_string(), field),
        None => (section_of(table, key)?, key),
    })
}

/// The section that a field named alone belongs to.
fn section_of(table: &Table, field: &str) -> std::result::Result<String, String> {
    let sections: Vec<&String> = table
        .iter()
        .filter(|(_, value)| value.as_table().is_some_and(|section| section.contains_key(field)))
        .map(|(name, _)| name)
        .collect();
    match sections[..] {
        [section] => Ok(section.clone()),
        // Fields that a recipe may leave out.
        [] if ["grid", "levels", "similarity", "estimator", "init", "revive_below"].contains(&field) => {
            Ok("quantizer".into())
        }
        [] if ["stages", "downsample"].contains(&field) => Ok("architecture".into()),
        [] if ["size", "resize", "valid_images", "judged_fraction"].contains(&field) => Ok("data".into()),
        [] if ["patience", "only", "restart_neighborhood", "schedule", "warmup_steps", "loss_color", "loss_coarse"]
            .contains(&field) =>
        {
            Ok("training".into())
        }
        [] => Err(format!("no field {field:?} to set; fields are {}", fields(table).join(", "))),
        _ => {
            let paths: Vec<String> = sections.iter().map(|section| format!("{section}.{field}")).collect();
            Err(format!("{field:?} is ambiguous: say {}", paths.join(" or ")))
        }
    }
}

fn fields(table: &Table) -> Vec<String> {
    table
        .iter()
        .filter_map(|(section, value)| Some((section, value.as_table()?)))
        .flat_map(|(section, fields)| fields.keys().map(move |field| format!("{section}.{field}")))
        .collect()
}

/// Turns `grid_dims` into the automatic shape, unless a shape is given. With FSQ the grid is made of the levels, given as
/// `levels` or as `grid` or found by the number of codes, and there are as many dimensions; and it has no neighborhood, nor
/// has SimVQ.
pub(crate) fn settle_grid(table: &mut Table) -> std::result::Result<(), String> {
    let Some(quantizer) = table.get_mut("quantizer").and_then(Value::as_table_mut) else { return Ok(()) };
    let kind = quantizer.get("kind").and_then(Value::as_str).unwrap_or_default().to_string();
    if ["fsq", "sim_vq"].contains(&kind.as_str()) {
        quantizer.insert("neighborhood".into(), Value::String("none".into()));
    }
    let dims = quantizer.remove("grid_dims");
    if kind == "fsq" {
        return settle_levels(quantizer);
    }
    let (Some(dims), None) = (dims, quantizer.get("grid")) else { return Ok(()) };
    let whole = |value: Option<&Value>| value.and_then(Value::as_integer).and_then(|v| usize::try_from(v).ok());
    let (Some(num_codes), Some(dims)) = (whole(quantizer.get("num_codes")), whole(Some(&dims))) else {
        return Err("quantizer.num_codes and quantizer.grid_dims must be whole numbers".into());
    };
    let grid = Grid::auto(num_codes, dims).map_err(|error| error.to_string())?;
    quantizer.insert("grid".to_string(), list(grid.shape()));
    Ok(())
}

fn settle_levels(quantizer: &mut Table) -> std::result::Result<(), String> {
    let whole = |value: &Value| value.as_integer().and_then(|v| usize::try_from(v).ok());
    let given = quantizer.remove("levels");
    let levels: Vec<usize> = match given.as_ref().or_else(|| quantizer.get("grid")) {
        Some(levels) => {
            let levels: Option<Vec<usize>> = levels.as_array().and_then(|levels| levels.iter().map(whole).collect());
            levels.ok_or("quantizer.levels must be a list of whole numbers")?
        }
        None => {
            let num_codes = quantizer.get("num_codes").and_then(whole);
            let num_codes = num_codes.ok_or("quantizer.num_codes must be a whole number")?;
            fsq_levels(num_codes).map_err(|error| error.to_string())?
        }
    };
    let product = levels.iter().try_fold(1i64, |product, &level| product.checked_mul(level as i64)).unwrap_or(i64::MAX);
    quantizer.insert("num_codes".into(), Value::Integer(product));
    quantizer.insert("dim".into(), Value::Integer(levels.len() as i64));
    quantizer.insert("grid".into(), list(&levels));
    Ok(())
}

fn list(numbers: &[usize]) -> Value {
    Value::Array(numbers.iter().map(|&number| Value::Integer(number as i64)).collect())
}
