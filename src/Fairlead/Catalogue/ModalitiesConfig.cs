using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>Kinds of content that a model accepts and produces.</summary>
internal sealed record ModalitiesConfig(IReadOnlyList<string> Input, IReadOnlyList<string> Output)
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<ModalitiesConfig> Keys = new(() => new ModalitiesConfig(["text"], ["text"]), [],
        new("input", new ConfigListType<string>(new ConfigChoice("text", "image", "audio", "pdf", "video")), m => m.Input,
            (m, v) => m with { Input = (IReadOnlyList<string>)v },
            "What it accepts."),
        new("output", new ConfigListType<string>(new ConfigChoice("text", "audio", "embedding")), m => m.Output,
            (m, v) => m with { Output = (IReadOnlyList<string>)v },
            "What it produces."));
}
