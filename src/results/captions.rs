//! What the report says of every figure.

/// A figure's file name without extension, its heading, and how to read it; there `{logit_margin}` and `{entropy_margin}` stand for
/// the margins of a single head.
pub type Caption = (&'static str, &'static str, &'static str);

/// The figures of a diagnosis, in the order of the page.
pub const FIGURES: [Caption; 11] = [
    (
        "nll_by_position",
        "Loss by position",
        "Each line is one way of attending, over the same text. The thin dotted line is the same text in windows of the training \
         length: what each token costs this model where nothing is out of range. A line that leaves it to the right of the \
         dashed bar costs more; ups and downs that all lines share belong to the text. How much more than the reference is a failure, \
         and where it begins, the verdicts say: they compare token by token.",
    ),
    (
        "logits_by_distance",
        "Factor 1: logits on unseen distances",
        "The largest attention logit on any key up to a distance, before the softmax, mean over heads. Left of the bar are the distances of training. A line that goes on rising right of it may do so because distances are new, or because more keys have a larger maximum: \
         the verdict on the logits holds the same keys against themselves at distances of training. Policies with a window end at \
         their window: they see no other key there. The start tokens are drawn in the next figure.",
    ),
    (
        "logits_of_start_tokens",
        "Factor 1 on the start tokens",
        "The same on the first tokens of the text, which rest attention and have large logits at every distance. A Λ mask \
         without a ceiling still sees them at distances that training never had.",
    ),
    (
        "entropy_by_length",
        "Factor 2: entropy over an unseen number of keys",
        "Entropy of a query's attention over the keys it sees, in nats; e to that power is the number of keys that share it. \
         The dotted line is ln n, attention spread evenly over all n keys. Right of the bar, entropy that goes on rising means \
         attention thinner than the model has ever used.",
    ),
    (
        "entropy_bounds",
        "Factor 2: what the logits alone say of the entropy",
        "Entropy of the first policy beside the bounds that follow from the size of its logits. ln n is the most that n keys \
         can have. The lower bounds subtract the range of the logits, or, in Proposition 2, twice the largest logit B: they hold, and \
         where they lie below 0 they say nothing, since no entropy does. The estimate for Gaussian logits of variance σ² is no bound. \
         The axis has room for both: even near 0, by ratio far from it.",
    ),
    (
        "start_mass_by_position",
        "Factor 3: attention that rests on the start tokens",
        "Share of a query's attention that goes to the first tokens. A window without start tokens takes it away at its own \
         length: that share has to go elsewhere.",
    ),
    (
        "learned_sinks",
        "Factor 3, built in: attention that goes to learned sinks",
        "Share of a query's attention that goes to the learned sink of its head, a logit of the softmax with no value, mean over \
         queries: one square for each head. What goes there goes to no token, so that a head need not rest its attention on start tokens; \
         where the share is smaller beyond the training length, more keys have taken of it.",
    ),
    (
        "drift_pca",
        "Factor 3: start tokens in a region of their own",
        "Hidden states in the two principal components of the first run, after the first block, where start tokens lie farthest, and \
         after the last block; the first policy and the last. The frame is the same in both rows, in units of the spread of the later \
         tokens. A diamond far from the cloud is a start token that carries something no later token has; states beyond the training \
         length that leave the cloud of those within it would be drift. The table below has every layer and policy.",
    ),
    (
        "heads_logits",
        "Every head: logits against distance",
        "One panel per head, layers downwards. The curve is the largest logit up to a distance, as in factor 1 above, so that a curve may \
         rise because there are more keys; a frame marks a head whose logits unseen distances raise by more than {logit_margin}, the same queries \
         and keys.",
    ),
    (
        "heads_entropy",
        "Every head: entropy against context length",
        "The same for entropy. A head whose curve goes on like ln n spreads its attention over everything it is given; a frame marks \
         one whose entropy unseen numbers of keys raise by more than {entropy_margin} nats, beyond the growth that training showed.",
    ),
    (
        "attention_maps",
        "Where three heads look",
        "Rows are queries, columns are keys; bright is where attention goes, grey what a policy does not attend to. Everything left of the dashed line is farther away \
         than any key in training. Under vanilla, stripes there are distances at which the position encoding happens to match \
         again. The leftmost column is the first token, drawn wider than it is.",
    ),
];

/// The figures of causes, which stand before all others.
pub const CAUSES: [Caption; 2] = [
    (
        "causes_shares",
        "What makes the loss rise",
        "Every cause was taken away alone and together with the others, over the same tokens: distances by a ceiling, the number of \
         keys by a window, the loss of start tokens by keeping them. A bar is the part of the excess that is due to a cause; what \
         two causes do together is shared equally. The thin line is the 95 % interval. A window without start tokens shows no \
         unseen distance: dropping them takes a part of that cause away, and may have a share below 0.",
    ),
    (
        "causes_heads",
        "Where the fix restores it",
        "The fix in one head alone, or in one layer alone, and the model as it is everywhere else: how much of the excess it takes \
         away. The last column is the other way round: the fix everywhere but in this layer, and how much of the excess comes back.",
    ),
];

/// The figures of a prediction, which stand before those.
pub const PREDICTED: [Caption; 3] = [
    (
        "predicted_loss",
        "The loss beyond the training length, predicted",
        "Windows of the training length, read at the end of contexts that are composed of each other's keys: what the same tokens cost \
         more there. The band is the 95 % interval. What lies between the two curves, where a longer text was read as well, was not \
         predicted.",
    ),
    (
        "predicted_logits",
        "Factor 1, predicted",
        "The largest logit up to a distance in those contexts, mean over heads.",
    ),
    (
        "predicted_entropy",
        "Factor 2, predicted",
        "Attention entropy in those contexts against their length, mean over heads, with its 95 % interval.",
    ),
];
