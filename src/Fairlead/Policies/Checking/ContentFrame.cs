namespace Fairlead.Policies.Checking;

/// <summary>An object or list of a request while it is read.</summary>
/// <param name="name">The name under which it stands; that of the list for an object in a list.</param>
internal sealed class ContentFrame(string name)
{
    public string Name => name;

    public bool IsArray { get; init; }

    /// <summary>Whether it is the whole body.</summary>
    public bool IsTop { get; init; }

    /// <summary>Whether it is, or is in, an object that the API does not know: all texts are content.</summary>
    public bool IsUnknown { get; init; }

    /// <summary>Number of the list, from 1.</summary>
    public int Number { get; init; }

    /// <summary>Value of <c>type</c>; null until it was read.</summary>
    public string? Type { get; set; }

    /// <summary>Media type of the file in it; null until it was read.</summary>
    public string? MediaType { get; set; }

    /// <summary>Its texts that may be files in base64: position in the list of texts, and name. Its other members decide.</summary>
    public List<(int Text, string Name)>? Files { get; set; }

    /// <summary>Positions of its names of tools.</summary>
    public List<int>? Names { get; set; }

    /// <summary>Position of its text for a model; -1 for none.</summary>
    public int PartText { get; set; } = -1;
}
