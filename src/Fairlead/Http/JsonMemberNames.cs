using System.Text.Json;

namespace Fairlead.Http;

/// <summary>Names of JSON members as error messages and JSON Pointers show them.</summary>
internal static class JsonMemberNames
{
    private const int MaxShown = 64;

    /// <summary>The name, or null when it contains half of a surrogate pair.</summary>
    public static string? Of(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>The step of a JSON Pointer to the member, which starts with a slash.</summary>
    public static string Step(string name) =>
        "/" + name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    /// <summary>As <see cref="Step"/>, for an unknown name of any length; null is a name that is no text.</summary>
    public static string ShortStep(string? name) => Step(name is null ? "?" : name.Length <= MaxShown ? name : name[..MaxShown]);
}
