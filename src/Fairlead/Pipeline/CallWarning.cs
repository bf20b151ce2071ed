namespace Fairlead.Pipeline;

/// <summary>
/// Something that the caller should know although the call did not fail. Shown in <c>fairlead.warnings</c> and the <c>Fairlead-Warning</c>
/// header.
/// </summary>
/// <param name="Code">snake_case, such as <c>parameter_ignored</c>.</param>
/// <param name="Message">One sentence; nothing secret.</param>
internal sealed record CallWarning(string Code, string Message);
