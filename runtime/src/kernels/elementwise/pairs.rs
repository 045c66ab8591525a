//! Pairs of a head: rotation, and their order.

/// Turns one head (`[head_dim]`, half-split pairs) by the angles of `row` ([2, dim/2]: cosines, sines), forwards or
/// backwards, and writes it to `out`; dimensions past `dim` are copied.
#[inline(always)]
pub fn rotate(x: &[f32], row: &[f32], backwards: bool, out: &mut [f32]) {
    let half = row.len() / 2;
    let (cosines, sines) = row[..2 * half].split_at(half);
    let sines = &sines[..half]; // so that the compiler sees one length everywhere, and no bounds checks are left
    let sign = if backwards { -1.0 } else { 1.0 };
    let (x0, rest) = x.split_at(half);
    let (x1, passed) = rest.split_at(half);
    let (out0, out_rest) = out.split_at_mut(half);
    let (out1, out_passed) = out_rest.split_at_mut(half);
    for j in 0..half {
        let (c, s) = (cosines[j], sines[j] * sign);
        out0[j] = x0[j] * c - x1[j] * s;
        out1[j] = x0[j] * s + x1[j] * c;
    }
    out_passed.copy_from_slice(passed);
}

/// Brings a head whose pairs are interleaved, `(2j, 2j + 1)`, into half-split order; dimensions past `dim` stay.
pub fn to_half_split(head: &mut [f32], dim: usize, spare: &mut [f32]) {
    for j in 0..dim / 2 {
        spare[j] = head[2 * j];
        spare[j + dim / 2] = head[2 * j + 1];
    }
    head[..dim].copy_from_slice(&spare[..dim]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_pairs_become_halves() {
        let mut head = vec![0.0, 1.0, 2.0, 3.0, 9.0];
        to_half_split(&mut head, 4, &mut [0.0; 4]);
        assert_eq!(head, [0.0, 2.0, 1.0, 3.0, 9.0]);
    }
}
