//! What holds for every text.
use parkade_config::tree::{Node, parse, print};
use parkade_config::{LoadOptions, MemorySource, load};
use proptest::prelude::*;

fn shape(nodes: &[Node]) -> String {
    let args = |node: &Node| node.args.iter().map(|w| w.text.clone()).collect::<Vec<_>>();
    let one = |node: &Node| {
        format!(
            "{:?} {:?} {:?}",
            node.name.text,
            args(node),
            node.children.as_deref().map(shape)
        )
    };
    nodes.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn config_like() -> impl Strategy<Value = String> {
    let pieces = [
        "<A",
        "</A>",
        ">",
        "\n",
        "\\\n",
        " ",
        "\"",
        "'",
        "\\",
        "#",
        "${B}",
        "Define B",
        "Listen 80",
        "Options",
        "+",
        "-1",
        "<VirtualHost *>",
        "</VirtualHost>",
        "<Directory /a>",
        "</Directory>",
        "Require ip",
        "10.0.0.0/8",
        "ä",
        "x",
        "ThreadsPerChild",
        "0",
        "99999999999999999999",
        "Include /*",
        "<IfDefine B>",
        "</IfDefine>",
    ];
    prop::collection::vec(
        prop::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        0..40,
    )
    .prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn no_text_panics_and_every_finding_can_be_shown(text in prop_oneof![config_like(), any::<String>()]) {
        let source = MemorySource::new().with("/c", text);
        let options = LoadOptions { file: Some("/c".into()), ..LoadOptions::default() };
        let found = load(options, &source).map_or_else(|errors| errors, |(_, found)| found);
        for diagnostic in found {
            prop_assert!(!diagnostic.render().is_empty());
        }
    }

    #[test]
    fn a_printed_tree_reads_back_as_the_same_tree(text in config_like()) {
        let (first, _) = parse("a", &text);
        let (second, _) = parse("b", &print(&first));
        prop_assert_eq!(shape(&first), shape(&second));
    }
}
