namespace Fairlead.Http;

/// <summary>The fields of a body.</summary>
/// <param name="Known">Fields that the endpoint accepts; every other field is an error.</param>
/// <param name="Refused">Fields that it knows but does not accept, each with the reason.</param>
internal sealed record FieldSet(IReadOnlyList<string> Known, IReadOnlyDictionary<string, string>? Refused = null)
{
    /// <summary>For a request without fields.</summary>
    public static FieldSet None { get; } = new([]);
}
