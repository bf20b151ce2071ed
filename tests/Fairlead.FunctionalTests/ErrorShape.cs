namespace Fairlead.FunctionalTests;

/// <summary>The forms of error bodies that clients see, as tests name them: the gateway's own list is internal, and test methods are public.</summary>
public enum ErrorShape
{
    OpenAi,
    Anthropic,
    Problem,
}
