namespace Fairlead.Policies.Moderation;

/// <summary>OpenAI's categories, which every result has.</summary>
internal static class ModerationCategories
{
    public static readonly IReadOnlyList<string> All =
    [
        "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm", "self-harm/intent",
        "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
    ];
}
